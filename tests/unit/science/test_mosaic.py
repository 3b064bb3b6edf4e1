import numpy as np
import pytest

from neuro_preprocess.report._font import _SHEET, GLYPH_HEIGHT, GLYPH_WIDTH, text_coverage, text_width
from neuro_preprocess.report._tiles import AXIAL, CORONAL, EDGE_COLOUR, SAGITTAL, VIEWS, Slicer, coloured
from neuro_preprocess.report.canvas import Canvas, Place
from neuro_preprocess.report.mosaic import render_mosaic

SHAPE = (41, 47, 37)
# A box of brain, away from the centre on every axis.
BRAIN = (slice(6, 30), slice(12, 40), slice(10, 30))


@pytest.fixture
def mask():
    mask = np.zeros(SHAPE, bool, order="F")
    mask[BRAIN] = True
    return mask


@pytest.fixture
def head():
    rng = np.random.default_rng(0)
    return np.asfortranarray(rng.normal(100, 5, SHAPE).astype(np.float32))


def slicer(mask, voxel_size_mm=(1, 1, 1), pixels_per_mm=4.0):
    slicer = Slicer(mask, voxel_size_mm)
    slicer.pixels_per_mm = pixels_per_mm
    return slicer


def centre_of_brightness(tile):
    """Row and column, as shares of the height and the width."""
    grey = tile.mean(axis=2)
    rows, columns = np.indices(grey.shape)
    return (rows * grey).sum() / grey.sum() / grey.shape[0], (columns * grey).sum() / grey.sum() / grey.shape[1]


@pytest.mark.parametrize(
    ("view", "axis", "expected"),
    [
        (AXIAL, 0, "right"),
        (AXIAL, 1, "top"),
        (CORONAL, 0, "right"),
        (CORONAL, 2, "top"),
        (SAGITTAL, 1, "right"),
        (SAGITTAL, 2, "top"),
    ],
)
def test_slices_are_in_neurological_convention(mask, view, axis, expected):
    """What lies farther along an axis of RAS is farther right, or higher up, in the picture."""
    volume = np.zeros(SHAPE, np.float32)
    far = list(BRAIN)
    far[axis] = slice(BRAIN[axis].stop - 4, BRAIN[axis].stop)
    volume[tuple(far)] = 1

    index = (BRAIN[view.axis].start + BRAIN[view.axis].stop) // 2
    row, column = centre_of_brightness(slicer(mask).anatomy(volume, view, index, white=1, with_edge=False))

    assert (column > 0.6) == (expected == "right")
    assert (row < 0.4) == (expected == "top")


@pytest.mark.parametrize(
    ("view", "marks"),
    [(AXIAL, ("L", "R", "A", "P")), (CORONAL, ("L", "R", "S", "I")), (SAGITTAL, ("P", "A", "S", "I"))],
)
def test_marks_agree_with_the_convention(view, marks):
    ends = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
    left, right = ends[view.across]
    bottom, top = ends[view.up]

    assert view.marks == marks == (left, right, top, bottom)


def test_slices_show_the_right_voxels(mask, head):
    index = 20
    pixels = slicer(mask, pixels_per_mm=1.0).anatomy(head, AXIAL, index, white=200, with_edge=False)

    # Cropped to the brain and 5 voxels around it; the first row is the front.
    shown = head[1:35, 7:45, index].T[::-1]
    inside = mask[1:35, 7:45, index].T[::-1]
    np.testing.assert_allclose(pixels[inside][:, 0], shown[inside] * (255 / 200), atol=1)


def test_slices_keep_true_proportions_of_unequal_voxels(mask, head):
    fine = slicer(mask).tile_size(SAGITTAL)
    thick = slicer(np.asfortranarray(mask[:, :, ::2]), (1, 1, 2)).tile_size(SAGITTAL)

    assert thick[1] == fine[1]
    assert abs(thick[0] - fine[0]) <= 2 * 4 * 2  # the margin is whole voxels


def test_slices_spread_over_the_brain(mask):
    indices = slicer(mask).indices(AXIAL, 8)

    assert indices == sorted(set(indices))
    assert BRAIN[2].start < indices[0] < indices[-1] < BRAIN[2].stop - 1
    assert indices[-1] - indices[0] > 0.8 * (BRAIN[2].stop - BRAIN[2].start)


def test_anatomy_draws_the_edge_of_the_mask_about_a_pixel_wide(mask, head):
    tile = slicer(mask).anatomy(np.zeros_like(head), AXIAL, 20, white=1)

    red = (tile[..., 0] > 128) & (tile[..., 1] < 128)
    circumference = 2 * 4 * (24 + 28)
    assert circumference * 0.8 < red.sum() < circumference * 2
    rows, columns = np.nonzero(red)
    # 5 mm of margin at 4 pixels a mm on all sides.
    assert (rows.min(), columns.min()) == pytest.approx((20, 20), abs=2)
    assert (rows.max(), columns.max()) == pytest.approx((20 + 28 * 4, 20 + 24 * 4), abs=2)


def test_anatomy_dims_the_surroundings_and_blackens_what_is_far(mask):
    mask[6:12, 12:18, 10:30] = False  # a corner cut out, so that some of the tile is far from the brain
    white = np.full(SHAPE, 1, np.float32)

    tile = slicer(mask).anatomy(white, AXIAL, 20, white=1, with_edge=False)[..., 0]

    brightness = tile / 255
    assert brightness[4 * 15, 4 * 15] == 1
    assert 0.2 < brightness[4 * 15, 4 * 4] < 0.6
    assert brightness[-1, 0] == 0  # 11 mm by 11 mm from the corner


def test_mosaic_shows_nothing_from_beyond_the_crop(head, mask):
    """A face cannot be seen in a picture that does not depend on it."""
    elsewhere = head.copy()
    elsewhere[:, 45:, :] = 1000
    elsewhere[:, :, :4] = 1000

    np.testing.assert_array_equal(
        render_mosaic(head, head, mask, (1, 1, 1)), render_mosaic(elsewhere, elsewhere, mask, (1, 1, 1))
    )


def test_mosaic_is_a_picture_of_fixed_width_and_the_same_each_time(head, mask):
    picture = render_mosaic(head, head, mask, (1, 1, 1), title="sub-01 T1w")

    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (1920, 3)
    np.testing.assert_array_equal(picture, render_mosaic(head, head, mask, (1, 1, 1), title="sub-01 T1w"))
    assert (picture == EDGE_COLOUR).all(axis=2).sum() > 1000


def test_mosaic_does_not_depend_on_the_memory_layout(head, mask):
    np.testing.assert_array_equal(
        render_mosaic(head, head, mask, (1, 1, 1)),
        render_mosaic(np.ascontiguousarray(head), np.ascontiguousarray(head), np.ascontiguousarray(mask), (1, 1, 1)),
    )


def test_mosaic_of_a_long_title_cuts_it(head, mask):
    long = render_mosaic(head, head, mask, (1, 1, 1), title="s" * 300)

    longer = render_mosaic(head, head, mask, (1, 1, 1), title="s" * 301)

    np.testing.assert_array_equal(long, longer)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (7, 8, 9), (90, 3, 4)])
@pytest.mark.parametrize("is_empty", [True, False])
def test_mosaic_of_next_to_nothing_is_a_picture(shape, is_empty):
    volume = np.zeros(shape, np.float32)
    mask = np.full(shape, not is_empty)

    assert render_mosaic(volume, volume, mask, (1, 1, 3)).any()


def test_mosaic_refuses_unequal_shapes(head, mask):
    with pytest.raises(ValueError, match="equal shapes"):
        render_mosaic(head, head[:-1], mask, (1, 1, 1))


def test_field_is_the_ratio_inside_the_mask(head, mask):
    field = np.linspace(0.8, 1.2, SHAPE[0], dtype=np.float32)[:, None, None]

    ratio, coverage = slicer(mask, pixels_per_mm=1.0).field(head * field, head, AXIAL, 20)

    inside = mask[1:35, 7:45, 20].T[::-1]
    expected = np.broadcast_to(field[1:35, 0, 0], inside.shape)
    np.testing.assert_allclose(ratio[inside], expected[inside], rtol=1e-4)
    np.testing.assert_array_equal(coverage > 0.5, inside)


def test_field_keeps_its_value_up_to_the_edge(head, mask):
    ratio, coverage = slicer(mask, pixels_per_mm=3.3).field(head * np.float32(1.1), head, CORONAL, 25)

    assert (coverage < 1).any()
    np.testing.assert_allclose(ratio[coverage > 0.01], 1.1, rtol=1e-4)


def test_coloured_is_blue_below_red_above_and_black_where_unknown():
    low, middle, high, unknown = coloured(
        np.array([[0.5, 1.0, 9.0, 1.0]], np.float32), np.array([[1, 1, 1, 0]], np.float32), spread=0.2
    )[0].astype(int)

    assert low[2] > low[0] + 100
    assert high[0] > high[2] + 100
    assert middle.min() > 200
    assert unknown.max() == 0


@pytest.mark.parametrize("view", VIEWS)
def test_labels_name_the_voxel_axis(view):
    assert view.label(7) == f"{'ijk'[view.axis]} 7"


def test_font_has_distinct_glyphs_of_one_size():
    glyphs = set()
    for characters, picture in _SHEET:
        rows = picture.split("\n")[1:-1]
        assert len(rows) == GLYPH_HEIGHT
        for row in rows:
            assert [len(dots) for dots in row.split()] == [GLYPH_WIDTH] * len(characters)
        glyphs |= {text_coverage(character).tobytes() for character in characters}

    assert len(glyphs) == sum(len(characters) for characters, _ in _SHEET)


def test_text_coverage_draws_a_box_for_what_the_font_lacks():
    assert text_coverage("é").tobytes() == text_coverage("漢").tobytes() != text_coverage("e").tobytes()


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_text_coverage_is_as_large_as_announced(scale):
    coverage = text_coverage("Ab 3", scale=scale)

    assert coverage.shape == (GLYPH_HEIGHT * scale, text_width("Ab 3", scale=scale))
    assert 0 <= coverage.min() < coverage.max() <= 1
    assert text_coverage("", scale=scale).shape == (GLYPH_HEIGHT * scale, 0)


def test_canvas_cuts_off_what_does_not_fit():
    canvas = Canvas(20, 16)

    canvas.write("wide text", 10, 10, (255, 255, 255))
    canvas.paste(np.full((30, 30, 3), 9, np.uint8), 15, 12)
    canvas.fill(Place(18, 0, 30, 2), (1, 2, 3))

    assert canvas.pixels.shape == (16, 20, 3)
    assert (canvas.pixels[12:, 15:] == 9).all()
    assert (canvas.pixels[:2, 18:] == (1, 2, 3)).all()


def test_canvas_writes_up_to_a_column():
    canvas = Canvas(100, 20)

    start = canvas.write_left_of("HI", 90, 0, (255, 255, 255))

    columns = np.nonzero(canvas.pixels.any(axis=(0, 2)))[0]
    assert (columns.min(), columns.max()) == (start, 90 - 1 - 2)  # an I is narrower than the glyph by a dot
