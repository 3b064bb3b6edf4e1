"""A picture to draw text and other pictures on."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess.report._font import GLYPH_HEIGHT, text_coverage, text_width

Picture: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]


class Place(NamedTuple):
    """A rectangle of pixels; `y` grows downwards."""

    x: int
    y: int
    width: int
    height: int


class Canvas:
    """Pixels to draw on, black at first. What would fall outside is cut off at the right and below.

    Parameters
    ----------
    width, height : int

    Attributes
    ----------
    pixels : (height, width, 3) ndarray of uint8
    """

    def __init__(self, width: int, height: int) -> None:
        self.pixels: Picture = np.zeros((height, width, 3), np.uint8)

    def paste(self, picture: Picture, x: int, y: int) -> None:
        """Put a picture's top left corner at a pixel."""
        target = self._view(Place(x, y, picture.shape[1], picture.shape[0]))
        target[...] = picture[: target.shape[0], : target.shape[1]]

    def fill(self, place: Place, colour: Colour) -> None:
        """Fill a rectangle."""
        self._view(place)[...] = colour

    def write(self, text: str, x: int, y: int, colour: Colour, *, scale: int = 2) -> None:
        """Write a line of text from a pixel to the right and down."""
        coverage = text_coverage(text, scale=scale)
        target = self._view(Place(x, y, coverage.shape[1], coverage.shape[0]))
        opacity = coverage[: target.shape[0], : target.shape[1], None]
        target[...] = target + opacity * (np.array(colour, np.float32) - target)

    def write_left_of(self, text: str, x: int, y: int, colour: Colour, *, scale: int = 2) -> int:
        """Write a line of text that ends at a column; the result is the column where it begins."""
        # The gap after the last character would show as a ragged margin.
        start = x - text_width(text, scale=scale) + scale
        self.write(text, start, y, colour, scale=scale)
        return start

    def write_centred(self, text: str, place: Place, y: int, colour: Colour, *, scale: int = 2) -> None:
        """Write a line of text in the middle of a rectangle's width."""
        self.write(text, place.x + max((place.width - text_width(text, scale=scale)) // 2, 0), y, colour, scale=scale)

    def _view(self, place: Place) -> Picture:
        return self.pixels[place.y : place.y + place.height, place.x : place.x + place.width]


def text_height(*, scale: int = 2) -> int:
    """Height of a line of text in pixels."""
    return GLYPH_HEIGHT * scale
