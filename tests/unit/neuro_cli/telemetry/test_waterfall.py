import re

import pytest

from neuro_cli.telemetry._markup import of_duration
from neuro_cli.telemetry.scan_trace import read_trace
from neuro_cli.telemetry.waterfall import render_waterfall

TRACE = "0af7651916cd43dd8448eb211c80319c"
RUN = "74c3cbc1baa133bdf383687e"


@pytest.fixture
def render(record):
    def render(*traces):
        recording = record(traces=traces)
        return render_waterfall(read_trace(recording, TRACE), recording)

    return render


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (8.5e-5, "85 µs"),
        (0.9994e-3, "999 µs"),
        (0.9996e-3, "1.00 ms"),
        (0.00421, "4.21 ms"),
        (0.0999, "99.9 ms"),
        (0.09999, "100 ms"),
        (0.9996, "1.00 s"),
        (12.34, "12.3 s"),
        (99.96, "1 min 40 s"),
        (125.4, "2 min 5 s"),
    ],
)
def test_duration_has_three_digits(seconds, text):
    assert of_duration(seconds) == text


@pytest.mark.parametrize("length_ms", [0, 0.01, 3, 99, 1000, 7500, 900_000])
def test_ticks_are_few_and_round(render, writer, length_ms):
    html = render(writer().span("x", "1", 0, length_ms))
    ticks = re.findall(r'<span style="left:([\d.]+)%">([^<]+)</span>', html)
    assert ticks[0] == ("0.000", "0")
    assert 1 <= len(ticks) <= 9
    digits = [text.removesuffix(" s").partition("e")[0].strip("0.") for _, text in ticks[1:2]]
    assert all(digit in ("1", "2", "5") for digit in digits)


@pytest.mark.parametrize(
    ("begin", "end", "place"),
    [(0, 500, 'style="left:50.000%"'), (500, 990, 'class="before" style="right:50.000%"'), (5, 995, 'class="over"')],
)
def test_duration_stands_where_there_is_room(render, writer, begin, end, place):
    html = render(writer().span("whole", "1", 0, 1000), writer().span("part", "2", begin, end, "1"))
    assert place in html.partition(">part<")[2]


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (f"conform/{RUN}_mask.nii.gz", "conform/*_mask.nii.gz"),
        ("sub-01/anat/sub-01_desc-brain_mask.nii.gz", "*_desc-brain_mask.nii.gz"),
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01_T1w.nii.gz"),
    ],
)
def test_object_of_a_request_is_named_in_short(render, writer, key, shown):
    assert f'<span class="object">{shown}</span>' in render(
        writer().span("S3.PutObject", "1", 0, 5, kind=3, aws__s3__key=key)
    )


def test_object_of_an_event_is_not_repeated(render, writer):
    assert 'class="object"' not in render(writer().span("Conform", "1", 0, 5, kind=2, aws__s3__key="a/b"))


def test_link_names_the_span_it_leads_to(render, writer):
    other = "f" * 32
    html = render(
        writer("Other").span("batch", "7", 0, 9, trace=other),
        writer().span("x", "1", 0, 9, links=[(other, "7"), (other, "8")]),
    )
    assert "Link to <b>batch</b> of Other" in html
    assert "Link to a span that was not recorded" in html


def test_more_writers_than_colours_share_them(render, writer):
    html = render(*(writer(f"F{number}").span(f"s{number}", str(number + 1), number, 20) for number in range(10)))
    assert html.count('class="colour-0"') == html.count('class="colour-1"') == 2
    assert 'class="colour-8"' not in html


def test_invocation_of_very_many_spans_is_cut_short(render, writer):
    one = writer()
    html = render(
        one.span("first", "1", 0, 5), *(one.span("s", f"{2 + number:x}", 1, 2, "1") for number in range(1003))
    )
    assert html.count('<span class="name">s</span>') == 1000
    assert "and 3 more spans, which are not shown" in html


def test_spans_may_be_nested_deeply(render, writer):
    one = writer()
    html = render(
        *(one.span("s", f"{1 + number:x}", number, 2000, f"{number:x}" if number else "") for number in range(990))
    )
    assert html.count('<span class="name">s</span>') == 989  # the first has the function's name
