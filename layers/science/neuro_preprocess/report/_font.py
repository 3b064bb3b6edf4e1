"""Text as pixels: a 5x7 bitmap font, enlarged with smooth edges."""

from functools import cache

import numpy as np
import numpy.typing as npt

GLYPH_WIDTH, GLYPH_HEIGHT = 5, 7

# Each band: the characters, then their seven rows of pixels side by side, one blank column between glyphs.
_SHEET = (
    (
        "ABCDEFGHIJKLM",
        """
        .###. ####. .###. ####. ##### ##### .###. #...# .###. ..### #...# #.... #...#
        #...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.##
        #...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.#
        ##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.#
        #...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...#
        #...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...#
        #...# ####. .###. ####. ##### #.... .###. #...# .###. .##.. #...# ##### #...#
        """,
    ),
    (
        "NOPQRSTUVWXYZ",
        """
        #...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...# #...# #####
        ##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....#
        #.#.# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.
        #..## #...# ####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#..
        #...# #...# #.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#...
        #...# #...# #.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #....
        #...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. #####
        """,
    ),
    (
        "abcdefghijklm",
        """
        ..... #.... ..... ....# ..... ..##. ..... #.... ..#.. ...#. #.... .##.. .....
        ..... #.... ..... ....# ..... .#..# ..... #.... ..... ..... #.... ..#.. .....
        .###. ####. .###. .#### .###. .#... .#### ####. .##.. ..##. #..#. ..#.. ##.#.
        ....# #...# #.... #...# #...# ###.. #...# #...# ..#.. ...#. #.#.. ..#.. #.#.#
        .#### #...# #.... #...# ##### .#... .#### #...# ..#.. ...#. ##... ..#.. #.#.#
        #...# #...# #...# #...# #.... .#... ....# #...# ..#.. #..#. #.#.. ..#.. #.#.#
        .#### ####. .###. .#### .###. .#... .###. #...# .###. .##.. #..#. .###. #.#.#
        """,
    ),
    (
        "nopqrstuvwxyz",
        """
        ..... ..... ..... ..... ..... ..... .#... ..... ..... ..... ..... ..... .....
        ..... ..... ..... ..... ..... ..... .#... ..... ..... ..... ..... ..... .....
        ####. .###. ####. .#### #.##. .#### ####. #...# #...# #...# #...# #...# #####
        #...# #...# #...# #...# ##..# #.... .#... #...# #...# #.#.# .#.#. #...# ...#.
        #...# #...# ####. .#### #.... .###. .#... #...# #...# #.#.# ..#.. .#### ..#..
        #...# #...# #.... ....# #.... ....# .#..# #..## .#.#. #.#.# .#.#. ....# .#...
        #...# .###. #.... ....# #.... ####. ..##. .##.# ..#.. .#.#. #...# .###. #####
        """,
    ),
    (
        "0123456789+-=",
        """
        .###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###. ..... ..... .....
        #...# .##.. #...# ...#. ..##. #.... .#... ....# #...# #...# ..#.. ..... .....
        #..## ..#.. ....# ..#.. .#.#. ####. #.... ...#. #...# #...# ..#.. ..... #####
        #.#.# ..#.. ...#. ...#. #..#. ....# ####. ..#.. .###. .#### ##### ##### .....
        ##..# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ....# ..#.. ..... #####
        #...# ..#.. .#... #...# ...#. #...# #...# .#... #...# ...#. ..#.. ..... .....
        .###. .###. ##### .###. ...#. .###. .###. .#... .###. .##.. ..... ..... .....
        """,
    ),
    (
        ".,:;_/\\()[]%#",
        """
        ..... ..... ..... ..... ..... ....# #.... ...#. .#... .###. .###. ##..# .#.#.
        ..... ..... ..... ..... ..... ....# #.... ..#.. ..#.. .#... ...#. ##..# .#.#.
        ..... ..... .##.. .##.. ..... ...#. .#... .#... ...#. .#... ...#. ...#. #####
        ..... ..... .##.. .##.. ..... ..#.. ..#.. .#... ...#. .#... ...#. ..#.. .#.#.
        ..... .##.. ..... ..... ..... .#... ...#. .#... ...#. .#... ...#. .#... #####
        .##.. .##.. .##.. .##.. ..... #.... ....# ..#.. ..#.. .#... ...#. #..## .#.#.
        .##.. .#... .##.. .#... ##### #.... ....# ...#. .#... .###. .###. #..## .#.#.
        """,
    ),
    (
        " '\"!?*<>|&@~°",
        """
        ..... ..#.. .#.#. ..#.. .###. ..... ...#. .#... ..#.. .##.. .###. ..... .###.
        ..... ..#.. .#.#. ..#.. #...# ..#.. ..#.. ..#.. ..#.. #..#. #...# ..... .#.#.
        ..... ..... ..... ..#.. ....# #.#.# .#... ...#. ..#.. #.#.. #.### .##.# .###.
        ..... ..... ..... ..#.. ...#. .###. #.... ....# ..#.. .#... #.#.# #..#. .....
        ..... ..... ..... ..#.. ..#.. #.#.# .#... ...#. ..#.. #.#.# #.### ..... .....
        ..... ..... ..... ..... ..... ..#.. ..#.. ..#.. ..#.. #..#. #.... ..... .....
        ..... ..... ..... ..#.. ..#.. ..... ...#. .#... ..#.. .##.# .###. ..... .....
        """,
    ),
)
# Drawn for a character that the sheet lacks: a box, as readers know it.
_UNKNOWN = np.pad(np.zeros((GLYPH_HEIGHT - 2, GLYPH_WIDTH - 2), bool), 1, constant_values=True)

Glyph = npt.NDArray[np.bool_]


def text_coverage(text: str, *, scale: int = 2) -> npt.NDArray[np.float32]:
    """How much of each pixel a line of text covers.

    Parameters
    ----------
    text : str
        One line. A character that the font lacks becomes a box.
    scale : int, default=2
        Pixels a dot of the font.

    Returns
    -------
    (7 * scale, 6 * scale * len(text)) ndarray of float32
        0 to 1.
    """
    columns = [np.pad(_glyphs().get(character, _UNKNOWN), ((0, 0), (0, 1))) for character in text]
    if not columns:
        return np.zeros((GLYPH_HEIGHT * scale, 0), np.float32)
    fine = _doubled(_doubled(np.concatenate(columns, axis=1)))
    # Four dots a dot by Scale2x, then as many pixels a dot as asked for, by area.
    height, width = GLYPH_HEIGHT * scale, fine.shape[1] // 4 * scale
    blown_up = np.repeat(np.repeat(fine, scale, axis=0), scale, axis=1)
    return np.asarray(blown_up.reshape(height, 4, width, 4).mean(axis=(1, 3)), np.float32)


def text_width(text: str, *, scale: int = 2) -> int:
    """Width of a line of text in pixels, the gap after its last character included."""
    return (GLYPH_WIDTH + 1) * scale * len(text)


@cache
def _glyphs() -> dict[str, Glyph]:
    glyphs = {}
    for characters, picture in _SHEET:
        rows = [line.split() for line in picture.strip().splitlines()]
        for column, character in enumerate(characters):
            glyphs[character] = np.array([[dot == "#" for dot in row[column]] for row in rows])
    return glyphs


def _doubled(dots: Glyph) -> Glyph:
    """Dots at twice the resolution, inner corners filled.

    This is the half of Scale2x (Mazzoleni, 2001) that turns stairs into diagonals; the other half would round the outer
    corners as well, and leave no difference between a D and an O.
    """
    padded = np.pad(dots, 1)
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    out = np.repeat(np.repeat(dots, 2, axis=0), 2, axis=1)
    is_corner = (up != down) & (left != right)
    for row, vertical in enumerate((up, down)):
        for column, horizontal in enumerate((left, right)):
            out[row::2, column::2] |= is_corner & vertical & horizontal
    return out
