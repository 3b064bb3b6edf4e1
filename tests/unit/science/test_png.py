import struct
import zlib

import numpy as np
import pytest

from neuro_preprocess.report.png import encode_png


def chunks(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    position = 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        kind, body = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        (crc,) = struct.unpack(">I", png[position + 8 + length : position + 12 + length])
        assert crc == zlib.crc32(kind + body)
        yield kind, body
        position += 12 + length


def decode(png):
    """The picture of a PNG file of 8-bit RGB, of which only the filters None and Up are known."""
    parts = dict(chunks(png))
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, colour, methods) == (8, 2, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    picture = np.zeros((height, 3 * width), np.uint8)
    above = np.zeros(3 * width, np.uint8)
    for row, out in zip(rows, picture, strict=True):
        assert row[0] in (0, 2)
        out[:] = row[1:] + (above if row[0] == 2 else 0)
        above = out
    return picture.reshape(height, width, 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 8, 3), (9, 1, 3), (64, 65, 3)])
def test_encode_png_keeps_every_pixel(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    np.testing.assert_array_equal(decode(encode_png(picture)), picture)


def test_encode_png_takes_any_memory_layout():
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)

    assert encode_png(np.asfortranarray(picture)) == encode_png(picture)
    assert encode_png(picture[::-1][::-1]) == encode_png(picture)


def test_encode_png_holds_nothing_but_the_picture():
    assert [kind for kind, _ in chunks(encode_png(np.zeros((7, 8, 3), np.uint8)))] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((7, 8), np.uint8),
        np.zeros((7, 8, 4), np.uint8),
        np.zeros((7, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_encode_png_refuses_what_is_no_rgb_picture(picture):
    with pytest.raises(ValueError, match="uint8"):
        encode_png(picture)
