"""PNG writing, the little of it that a colour picture needs."""

import struct
import zlib

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE = 8
_COLOUR_TYPE_RGB = 2
_FILTER_UP = 2
_COMPRESSION_LEVEL = 1


def encode_png(rgb: npt.NDArray[np.uint8]) -> bytes:
    """PNG file of a picture: the same bytes for the same picture, without a time or any other text.

    Rows are stored as differences from the row above (filter "Up"), which costs one subtraction and makes a mosaic of
    heads a third smaller than without a filter. "Paeth" would take off another twentieth, at ten times the cost.

    Parameters
    ----------
    rgb : (H, W, 3) ndarray of uint8

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        The array is of another shape or type, or empty.

    References
    ----------
    W3C. Portable Network Graphics (PNG) Specification, third edition, 2025.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise ValueError(f"expected an (H, W, 3) array of uint8, got {rgb.shape} of {rgb.dtype}")
    height, width, _ = rgb.shape
    samples = rgb.reshape(height, -1)
    rows = np.empty((height, 1 + samples.shape[1]), np.uint8)
    rows[:, 0] = _FILTER_UP
    rows[0, 1:] = samples[0]
    np.subtract(samples[1:], samples[:-1], out=rows[1:, 1:])
    # Fields: width, height, depth, colour type, and the only compression, filtering and interlacing methods used.
    header = struct.pack(">IIBBBBB", width, height, _BITS_PER_SAMPLE, _COLOUR_TYPE_RGB, 0, 0, 0)
    body = isal_zlib.compress(rows.tobytes(), _COMPRESSION_LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
