import pytest

from lambda_otel.export.http import ProtocolError, Responses

TWO = (
    b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabc"
    b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n"
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n"
)
EXPECTED = [(200, b"abc"), (503, b"def"), (204, b"")]


def test_feed_yields_all_responses_of_one_piece():
    assert list(Responses().feed(TWO)) == EXPECTED


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_feed_yields_the_same_however_the_bytes_are_cut(size):
    responses = Responses()

    got = [response for start in range(0, len(TWO), size) for response in responses.feed(TWO[start : start + size])]

    assert got == EXPECTED


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"x" * 70_000,
    ],
)
def test_feed_refuses_what_is_no_response(garbage):
    with pytest.raises(ProtocolError):
        list(Responses().feed(garbage))
