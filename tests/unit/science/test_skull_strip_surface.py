"""skull_strip._icosphere, ._surface, ._mesh: the geometry under the brain's surface."""

import numpy as np
import pytest

from neuro_preprocess.skull_strip._icosphere import icosphere
from neuro_preprocess.skull_strip._mesh import fill_holes, fill_surface
from neuro_preprocess.skull_strip._surface import Surface, _growth, _Levels, _normals, _Sampler, grow_surface

SHAPE = (41, 52, 47)
VOXEL_SIZE_MM = (2.0, 1.5, 2.0)


def sphere_surface(radius_mm: float, centre_mm: tuple[float, float, float]) -> Surface:
    sphere = icosphere(3)
    return Surface(sphere.vertices * np.float32(radius_mm) + np.float32(centre_mm)[:, None], sphere.faces)


def distances_mm(centre_mm: tuple[float, float, float]) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, VOXEL_SIZE_MM, strict=True)), indexing="ij"))
    return np.linalg.norm(grid - np.array(centre_mm)[:, None, None, None], axis=0)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_icosphere_is_a_closed_unit_sphere(level: int) -> None:
    sphere = icosphere(level)
    vertices, edges, faces = sphere.vertices.shape[1], 30 * 4**level, len(sphere.faces)
    assert vertices == 10 * 4**level + 2
    assert vertices - edges + faces == 2
    np.testing.assert_allclose(np.linalg.norm(sphere.vertices, axis=0), 1, rtol=1e-6)


def test_icosphere_faces_look_outward() -> None:
    sphere = icosphere(2)
    a, b, c = np.moveaxis(sphere.vertices.T[sphere.faces], 1, 0)
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a) > 0).all()


def test_icosphere_rings_hold_the_neighbours_in_order() -> None:
    sphere = icosphere(2)
    edges = {
        tuple(sorted(edge)) for face in sphere.faces.tolist() for edge in zip(face, face[1:] + face[:1], strict=True)
    }
    for vertex, ring in enumerate(sphere.rings.tolist()):
        assert {tuple(sorted((vertex, neighbour))) for neighbour in ring} == {e for e in edges if vertex in e}
        around = [pair for pair in zip(ring, ring[1:] + ring[:1], strict=True) if pair[0] != pair[1]]
        assert all(tuple(sorted(pair)) in edges for pair in around)
    np.testing.assert_allclose(sphere.ring_weights.sum(axis=1), 1, rtol=1e-6)
    assert np.count_nonzero(sphere.ring_weights == 0) == 12


def test_icosphere_cannot_be_changed_by_one_of_its_users() -> None:
    with pytest.raises(ValueError, match="read-only"):
        icosphere(1).vertices[0, 0] = 5


def test_normals_of_a_sphere_point_outward() -> None:
    sphere = icosphere(3)
    normals = _normals(sphere.vertices[:, sphere.rings])
    assert (np.einsum("cv,cv->v", normals, sphere.vertices) > 0.999).all()


def test_equal_sphere_of_a_sphere_is_itself() -> None:
    found = sphere_surface(30, (35, 41, 44)).equal_sphere()
    np.testing.assert_allclose(found.centre_mm, (35, 41, 44), atol=0.01)
    assert found.radius_mm == pytest.approx(30, rel=0.01)


def test_fill_surface_of_a_sphere_is_a_ball() -> None:
    centre_mm = (38.0, 37.0, 45.0)
    filled = fill_surface(sphere_surface(28, centre_mm), SHAPE, VOXEL_SIZE_MM)
    assert filled is not None
    assert filled.flags.f_contiguous
    distance_mm = distances_mm(centre_mm)
    assert filled[distance_mm < 27].all()
    assert not filled[distance_mm > 30].any()


def test_fill_surface_keeps_a_ball_that_the_volume_cuts_off() -> None:
    centre_mm = (2.0, 37.0, 90.0)
    filled = fill_surface(sphere_surface(28, centre_mm), SHAPE, VOXEL_SIZE_MM)
    assert filled is not None
    assert filled[distances_mm(centre_mm) < 27].all()
    assert not filled[distances_mm(centre_mm) > 30].any()


def test_fill_surface_gives_up_on_a_surface_that_has_exploded() -> None:
    assert fill_surface(sphere_surface(5000, (0, 0, 0)), SHAPE, VOXEL_SIZE_MM) is None


def test_fill_holes_fills_what_has_no_way_out() -> None:
    mask = np.zeros((7, 8, 9), bool)
    mask[1:6, 1:7, 1:8] = True
    mask[3, 3, 3] = False
    mask[1, 5, 5] = False
    expected = mask.copy()
    expected[3, 3, 3] = True
    np.testing.assert_array_equal(fill_holes(mask), expected)


def test_grow_surface_fits_a_bright_ball_in_a_dark_shell() -> None:
    centre_mm = (40.0, 38.0, 46.0)
    distance_mm = distances_mm(centre_mm)
    head = np.where(distance_mm < 24, 100, np.where(distance_mm < 28, 10, np.where(distance_mm < 32, 80, 0)))
    surface = grow_surface(np.asfortranarray(head, np.float32), VOXEL_SIZE_MM, 0.5)
    assert surface is not None
    radii_mm = np.linalg.norm(surface.vertices.T - np.array(centre_mm), axis=1)
    assert radii_mm.mean() == pytest.approx(25, abs=1.5)
    assert radii_mm.std() < 1


@pytest.mark.parametrize("value", [0, -3, 7])
def test_grow_surface_finds_nothing_in_a_uniform_volume(value: float) -> None:
    assert grow_surface(np.full((7, 8, 9), value, np.float32), VOXEL_SIZE_MM, 0.5) is None


LEVELS = _Levels(t2=0, t98=200, t=20, tm=100)


def profile(values: dict[int, float], otherwise: float = 100) -> np.ndarray:
    """Intensities 1 to 20 mm below one vertex."""
    inward = np.full((20, 1), otherwise, np.float32)
    for depth_mm, value in values.items():
        inward[depth_mm - 1] = value
    return inward


@pytest.mark.parametrize(
    ("inward", "growth"),
    [
        (profile({}), 1),  # brain all the way: outward
        (profile({}, otherwise=10), 0),  # as dark as the threshold of a dark place: stay
        (profile({3: 0}), -1),  # fluid near: inward
        (profile({18: 0}), -1),  # fluid far down counts as well
        (profile({15: 100}, otherwise=40), 1),  # something bright, but farther than the brightest is looked for
        (profile({5: 100}, otherwise=40), -0.2),
        (profile({7: 500}, otherwise=40), -0.2),  # fat, brighter than any brain, is no brighter than brain
    ],
)
def test_growth_compares_the_darkest_voxel_with_the_local_threshold(inward, growth: float) -> None:
    np.testing.assert_allclose(_growth(inward, LEVELS, 0.5), growth, atol=1e-6)


def test_sampler_reads_the_nearest_voxels_inward_and_background_beyond_the_volume() -> None:
    volume = np.asfortranarray(np.arange(10 * 8 * 9, dtype=np.float32).reshape(10, 8, 9))
    point, normal = np.float32([[9.0], [4.4], [10.0]]), np.float32([[1], [0], [0]])
    inward = _Sampler(volume, (1.0, 1.0, 2.0), background=-7).inward(point, normal)
    np.testing.assert_array_equal(inward[:9, 0], volume[8::-1, 4, 5])
    np.testing.assert_array_equal(inward[10:, 0], -7)
