"""The quality picture of a scan: the brain's edge on slices from three sides, and what the bias field did."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuro_preprocess.image import Mask, Volume
from neuro_preprocess.report._font import text_width
from neuro_preprocess.report._tiles import EDGE_COLOUR, SAGITTAL, VIEWS, Plane, Slicer, View, coloured
from neuro_preprocess.report.canvas import Canvas, Picture, Place, text_height

_SLICES = 8
_SCALE_BARS_MM = (50, 20, 10, 5, 2, 1)
_WINDOW_PERCENTILE = 99.5
# Half-widths of the colour scale: the smallest that holds the field is taken, so that pictures are comparable.
_FIELD_SPREADS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_FIELD_PERCENTILES = (1.0, 99.0)

_BRIGHT, _MEDIUM, _FAINT = (238, 238, 240), (168, 172, 180), (120, 124, 132)
_TITLE_SCALE = 3

# Everything below is in pixels.
_WIDTH = 1920
_MARGIN = 28
_GAP = 10
_GROUP_GAP = 36
_ROW_GAP = 24
_COLUMN = (_WIDTH - 2 * _MARGIN - (_SLICES - 1) * _GAP) / _SLICES
_HEADER_HEIGHT = _MARGIN + text_height(scale=_TITLE_SCALE) + 22
_HEADING_HEIGHT = text_height() + 12
_CAPTION_HEIGHT = text_height() + 6
_MARK_WIDTH = text_width("L")
_COLOUR_BAR_LENGTH = 240
_LARGEST_TILE_HEIGHT = 300
_LONGEST_SCALE_BAR = 240
_LARGEST_PIXELS_PER_MM = 20.0


@dataclass(frozen=True)
class _Scan:
    slicer: Slicer
    before: Volume
    after: Volume
    white: float


def render_mosaic(
    conformed: Volume, corrected: Volume, mask: Mask, voxel_size_mm: Sequence[float], *, title: str = ""
) -> Picture:
    """Picture to judge a scan by: mask edge on 8 slices from each of three sides, and the field, before and after.

    In neurological convention: the subject's left is on the left. Grey runs from 0 to the 99.5th percentile of the
    brain. Tiles are cropped to the brain and 5 mm around it, and what lies outside the mask is dimmed and fades to
    black within 10 mm, so that the picture shows no face.

    Parameters
    ----------
    conformed : (X, Y, Z) ndarray of float32
        The head before bias correction, RAS+.
    corrected : (X, Y, Z) ndarray of float32
        The same after it.
    mask : (X, Y, Z) ndarray of bool
        The brain. An empty one gives an empty picture.
    voxel_size_mm : (3,) sequence of float
        Unequal ones are shown in true proportions.
    title : str, default=""
        What is shown; a pseudonym, never a patient's name.

    Returns
    -------
    (H, 1920, 3) ndarray of uint8

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if not conformed.shape == corrected.shape == mask.shape:
        raise ValueError(f"expected equal shapes, got {conformed.shape}, {corrected.shape} and {mask.shape}")
    slicer = Slicer(mask, voxel_size_mm)
    slicer.pixels_per_mm = _pixels_per_mm(slicer.size_mm)
    scan = _Scan(slicer, conformed, corrected, _white(corrected, mask))
    canvas = Canvas(_WIDTH, _height(slicer))
    _draw_header(canvas, title, slicer.pixels_per_mm)
    y = _HEADER_HEIGHT
    canvas.write_left_of("edge of the brain mask", _WIDTH - _MARGIN, y, EDGE_COLOUR)
    for view in VIEWS:
        y = _draw_slices(canvas, y, scan, view)
    _draw_field(canvas, y, scan)
    return canvas.pixels


def _pixels_per_mm(size_mm: tuple[float, float, float]) -> float:
    width_mm, depth_mm, height_mm = size_mm
    # The last strip holds three tiles each of the three views, two of which are as wide as the brain.
    strip = _WIDTH - 2 * _MARGIN - 6 * _GAP - 2 * _GROUP_GAP
    return min(
        (_COLUMN - 2 * _MARK_WIDTH) / width_mm,
        _COLUMN / depth_mm,
        strip / (6 * width_mm + 3 * depth_mm),
        _LARGEST_TILE_HEIGHT / max(depth_mm, height_mm),
        _LARGEST_PIXELS_PER_MM,
    )


def _height(slicer: Slicer) -> int:
    heights = [slicer.tile_size(view)[0] for view in VIEWS]
    rows = sum(heights) + max(heights)
    return _HEADER_HEIGHT + rows + 4 * (_HEADING_HEIGHT + _CAPTION_HEIGHT) + 3 * _ROW_GAP + _MARGIN


def _white(corrected: Volume, mask: Mask) -> float:
    # Every second plane along the slowest axis: percentiles of half a brain are those of the brain.
    values = corrected[:, :, ::2][mask[:, :, ::2]]
    white = float(np.percentile(values, _WINDOW_PERCENTILE)) if values.size else 0.0
    return white if white > 0 else 1.0


def _draw_header(canvas: Canvas, title: str, pixels_per_mm: float) -> None:
    y = _MARGIN + text_height(scale=_TITLE_SCALE) - text_height()
    x = canvas.write_left_of("neurological convention: left is left", _WIDTH - _MARGIN, y, _BRIGHT)
    length_mm = next(mm for mm in _SCALE_BARS_MM if mm * pixels_per_mm <= _LONGEST_SCALE_BAR)
    length = round(length_mm * pixels_per_mm)
    x = canvas.write_left_of(f"{length_mm} mm", x - 2 * _MARGIN, y, _MEDIUM)
    x -= length + 12
    canvas.fill(Place(x, y + 6, length, 2), _MEDIUM)
    for end in (x, x + length - 2):
        canvas.fill(Place(end, y + 2, 2, 10), _MEDIUM)
    _draw_title(canvas, title, x - 3 * _MARGIN)


def _draw_title(canvas: Canvas, title: str, width: int) -> None:
    fits = text_width(title, scale=_TITLE_SCALE) <= width
    scale = _TITLE_SCALE if fits else _TITLE_SCALE - 1
    longest = width // text_width(" ", scale=scale)
    shown = title if len(title) <= longest else title[: longest - 3] + "..."
    canvas.write(shown, _MARGIN, _MARGIN, _BRIGHT, scale=scale)


def _draw_slices(canvas: Canvas, y: int, scan: _Scan, view: View) -> int:
    """Draw a row of slices; the result is where the next row begins."""
    _draw_heading(canvas, y, view.name, view.order)
    height, width = scan.slicer.tile_size(view)
    for position, index in enumerate(scan.slicer.indices(view, _SLICES)):
        x = round(_MARGIN + position * (_COLUMN + _GAP) + (_COLUMN - width) / 2)
        place = Place(x, y + _HEADING_HEIGHT, width, height)
        canvas.paste(scan.slicer.anatomy(scan.after, view, index, white=scan.white), place.x, place.y)
        _draw_marks(canvas, place, view, is_first=position == 0)
        canvas.write_centred(view.label(index), place, place.y + height + 6, _FAINT)
    return y + _HEADING_HEIGHT + height + _CAPTION_HEIGHT + _ROW_GAP


def _draw_marks(canvas: Canvas, place: Place, view: View, *, is_first: bool) -> None:
    left, right, top, bottom = view.marks
    middle = place.y + (place.height - text_height()) // 2
    if view is not SAGITTAL:  # there is room beside these, and a left taken for a right is the dangerous mistake
        canvas.write(left, place.x - _MARK_WIDTH, middle, _BRIGHT)
        canvas.write(right, place.x + place.width + 2, middle, _BRIGHT)
    elif is_first:
        canvas.write(left, place.x, middle, _BRIGHT)
        canvas.write(right, place.x + place.width - _MARK_WIDTH, middle, _BRIGHT)
    if is_first:
        canvas.write_centred(top, place, place.y + 2, _BRIGHT)
        canvas.write_centred(bottom, place, place.y + place.height - text_height() - 2, _BRIGHT)


def _draw_field(canvas: Canvas, y: int, scan: _Scan) -> None:
    slices = [(view, scan.slicer.indices(view, _SLICES)[_SLICES // 2]) for view in VIEWS]
    fields = [scan.slicer.field(scan.before, scan.after, view, index) for view, index in slices]
    spread = _field_spread(fields)
    _draw_heading(canvas, y, "BIAS FIELD", "before and after correction, and the field that was divided out")
    _draw_colour_bar(canvas, y, spread)
    y += _HEADING_HEIGHT

    sizes = [scan.slicer.tile_size(view) for view in VIEWS]
    tallest = max(height for height, _ in sizes)
    spare = _WIDTH - 2 * _MARGIN - 6 * _GAP - 3 * sum(width for _, width in sizes)
    x = _MARGIN
    for (view, index), (field, coverage) in zip(slices, fields, strict=True):
        tiles = {
            "before": scan.slicer.anatomy(scan.before, view, index, white=scan.white, with_edge=False),
            "after": scan.slicer.anatomy(scan.after, view, index, white=scan.white, with_edge=False),
            "field": coloured(field, coverage, spread=spread),
        }
        for caption, tile in tiles.items():
            place = Place(x, y + (tallest - tile.shape[0]) // 2, tile.shape[1], tile.shape[0])
            canvas.paste(tile, place.x, place.y)
            canvas.write_centred(f"{caption}, {view.label(index)}", place, y + tallest + 6, _FAINT)
            x += place.width + _GAP
        x += spare // 2 - _GAP


def _field_spread(fields: list[tuple[Plane, Plane]]) -> float:
    known = np.concatenate([field[coverage > 0.5] for field, coverage in fields])
    if known.size == 0:
        return _FIELD_SPREADS[0]
    largest = float(np.abs(np.percentile(known, _FIELD_PERCENTILES) - 1).max())
    return next((spread for spread in _FIELD_SPREADS if spread >= largest), _FIELD_SPREADS[-1])


def _draw_colour_bar(canvas: Canvas, y: int, spread: float) -> None:
    x = canvas.write_left_of(f"{1 + spread:.2f}", _WIDTH - _MARGIN, y, _MEDIUM) - _COLOUR_BAR_LENGTH - _GAP
    ramp = np.linspace(1 - spread, 1 + spread, _COLOUR_BAR_LENGTH, dtype=np.float32)
    bar = np.tile(ramp, (text_height(), 1))
    canvas.paste(coloured(bar, np.ones_like(bar), spread=spread), x, y)
    canvas.fill(Place(x + _COLOUR_BAR_LENGTH // 2 - 1, y - 4, 2, 4), _MEDIUM)  # where the field is 1
    canvas.write_left_of(f"{1 - spread:.2f}", x - _GAP, y, _MEDIUM)


def _draw_heading(canvas: Canvas, y: int, name: str, text: str) -> None:
    canvas.write(name, _MARGIN, y, _BRIGHT)
    canvas.write(text, _MARGIN + text_width(name) + 20, y, _FAINT)
