"""The brain's surface by BET: a balloon that grows until the voxels just inside it are no longer brain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuro_preprocess._voxels import robust_range
from neuro_preprocess.image import Volume
from neuro_preprocess.skull_strip._icosphere import Icosphere, Points, icosphere

_LEVEL = 3
_STEPS = 300
# Before the final run the surface is grown again from its own centre, which the first guess often misses.
_RECENTRING_STEPS = 250
_RECENTRINGS = 2
_SETTLED_MM = 2.0

# Inward search: the darkest voxel within the longer distance, the brightest within the shorter one.
_SEARCH_MM = np.arange(1, 21, dtype=np.float32)
_NEAR = 10
# Radii of curvature between which smoothing goes from none to full.
_LARGEST_RADIUS_MM, _SMALLEST_RADIUS_MM = 10.0, 3.33
_FLATNESS = (1 / _SMALLEST_RADIUS_MM + 1 / _LARGEST_RADIUS_MM) / 2
_STEEPNESS = 6 / (1 / _SMALLEST_RADIUS_MM - 1 / _LARGEST_RADIUS_MM)
_TANGENTIAL_SHARE = 0.5
_GROWTH = 0.05
_STEPS_BETWEEN_EDGE_LENGTHS = 50
_TINY = 1e-9


@dataclass(frozen=True)
class _Sphere:
    centre_mm: npt.NDArray[np.float64]
    radius_mm: float


@dataclass(frozen=True)
class Surface:
    """A closed surface around the brain.

    Attributes
    ----------
    vertices : (3, V) ndarray of float32
        In mm from the centre of the volume's first voxel.
    faces : (F, 3) ndarray of int
    """

    vertices: Points
    faces: npt.NDArray[np.intp]

    def equal_sphere(self) -> _Sphere:
        """Sphere of the volume enclosed, at the mean vertex."""
        centre = self.vertices.mean(axis=1, dtype=np.float64)
        a, b, c = np.moveaxis((self.vertices.T - centre)[self.faces], 1, 0)
        volume_mm3 = abs(float(np.einsum("ij,ij->", a, np.cross(b, c)))) / 6
        return _Sphere(centre, _radius_of(volume_mm3))


@dataclass(frozen=True)
class _Levels:
    """Intensities that tell the head from air and the brain from what surrounds it; the names are the paper's."""

    t2: float
    t98: float
    t: float
    tm: float


def grow_surface(volume: Volume, voxel_size_mm: Sequence[float], fraction: float) -> Surface | None:
    """Surface of the brain in a head.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        The head at about 2 mm.
    voxel_size_mm : (3,) sequence of float
    fraction : float
        Local threshold between air and brain, 0 to 1: less gives a larger brain.

    Returns
    -------
    Surface or None
        None where there is nothing to grow in, or the surface has fallen apart.

    References
    ----------
    Smith SM. Fast robust automated brain extraction. Hum Brain Mapp 17:143-155, 2002.
    """
    t2, t98 = robust_range(volume)
    if not t98 > t2:
        return None
    t = t2 + 0.1 * (t98 - t2)
    start = _centre_of_gravity(volume, voxel_size_mm, t2, t98, t)
    if start is None:
        return None
    sampler = _Sampler(volume, voxel_size_mm, t2)

    def grow(start: _Sphere, steps: int) -> Surface | None:
        tm = _median_inside(volume, voxel_size_mm, start, t2, t98)
        return None if tm is None else _evolve(sampler, start, _Levels(t2, t98, t, tm), fraction, steps)

    for _ in range(_RECENTRINGS):
        found = grow(start, _RECENTRING_STEPS)
        if found is None:
            return None
        before, start = start, found.equal_sphere()
        if np.linalg.norm(start.centre_mm - before.centre_mm) < _SETTLED_MM:
            break
    return grow(start, _STEPS)


class _Sampler:
    """Nearest voxels at points in mm; beyond the volume everything is background."""

    def __init__(self, volume: Volume, voxel_size_mm: Sequence[float], background: float) -> None:
        padded = np.pad(volume, 1, constant_values=np.float32(background))
        self._values = padded.ravel(order="F")
        x, y, _ = padded.shape
        self._strides = (1, x, x * y)
        self._last = tuple(n - 1 for n in padded.shape)
        self._per_mm = tuple(np.float32(1 / size) for size in voxel_size_mm)

    def inward(self, vertices: Points, normals: Points) -> npt.NDArray[np.float32]:
        """Intensities below each vertex at each distance of `_SEARCH_MM`: (20, V)."""
        index: npt.NDArray[np.int32] | None = None
        for axis in range(3):
            # 1 for the padding and 0.5 to round: what the conversion to int cuts off is then never negative.
            place = _SEARCH_MM[:, None] * (normals[axis] * -self._per_mm[axis])
            place += vertices[axis] * self._per_mm[axis] + np.float32(1.5)
            np.clip(place, 0, self._last[axis], out=place)
            along = place.astype(np.int32)
            along *= self._strides[axis]
            index = along if index is None else np.add(index, along, out=index)
        return np.asarray(self._values[index])


def _evolve(sampler: _Sampler, start: _Sphere, levels: _Levels, fraction: float, steps: int) -> Surface | None:
    sphere = icosphere(_LEVEL)
    # Relative to the centre while it grows: float32 then resolves the small steps.
    centre = start.centre_mm.astype(np.float32)[:, None]
    x = sphere.vertices * np.float32(start.radius_mm / 2)
    edge = 0.0
    for step in range(steps):
        neighbours = x[:, sphere.rings]
        if step % _STEPS_BETWEEN_EDGE_LENGTHS == 0:
            edge = _mean_edge(x, neighbours, sphere)
            if not math.isfinite(edge):
                return None
        normals = _normals(neighbours)
        to_mean = np.einsum("cvk,vk->cv", neighbours, sphere.ring_weights) - x
        along_normal = (to_mean * normals).sum(axis=0)
        tangential = to_mean - along_normal * normals
        curvature = 2 * np.abs(along_normal) / np.float32(edge * edge + _TINY)
        smoothing = (1 + np.tanh(_STEEPNESS * (curvature - _FLATNESS))) / 2
        growth = _growth(sampler.inward(x + centre, normals), levels, fraction)
        outward = smoothing * along_normal + np.float32(_GROWTH * edge) * growth
        x = x + np.float32(_TANGENTIAL_SHARE) * tangential + outward * normals
    return Surface(x + centre, sphere.faces) if np.isfinite(x).all() else None


def _growth(inward: npt.NDArray[np.float32], levels: _Levels, fraction: float) -> npt.NDArray[np.float32]:
    """Between -2 and 2: outward where the darkest voxel below is brighter than the local threshold."""
    t2, t, tm = np.float32(levels.t2), np.float32(levels.t), np.float32(levels.tm)
    darkest = np.maximum(t2, np.minimum(tm, inward.min(axis=0)))
    brightest = np.minimum(tm, np.maximum(t, inward[:_NEAR].max(axis=0)))
    contrast = np.maximum(brightest - t2, np.finfo(np.float32).tiny)
    local_threshold = contrast * np.float32(fraction) + t2
    return np.asarray(2 * (darkest - local_threshold) / contrast)


def _normals(neighbours: Points) -> Points:
    """Outward unit normals: around a closed ring the vertex itself drops out of the sum of cross products."""
    following = np.roll(neighbours, -1, axis=2)
    (ax, ay, az), (bx, by, bz) = neighbours, following
    normals = np.stack([(ay * bz - az * by).sum(1), (az * bx - ax * bz).sum(1), (ax * by - ay * bx).sum(1)])
    return np.asarray(normals / (np.sqrt((normals * normals).sum(axis=0)) + np.float32(_TINY)))


def _mean_edge(x: Points, neighbours: Points, sphere: Icosphere) -> float:
    lengths = np.linalg.norm(neighbours - x[:, :, None], axis=0)
    return float((lengths * sphere.ring_weights).sum(axis=1).mean())


def _centre_of_gravity(
    volume: Volume, voxel_size_mm: Sequence[float], t2: float, t98: float, t: float
) -> _Sphere | None:
    """Sphere of the head's volume at its centre of gravity, the brightest voxels counting no more than bright ones."""
    is_head = volume > np.float32(t)
    weights = np.where(is_head, np.minimum(volume, np.float32(t98)) - np.float32(t2), np.float32(0))
    total = float(weights.sum(dtype=np.float64))
    if not total > 0:
        return None
    centre = [
        float((weights.sum(axis=others, dtype=np.float64) * np.arange(volume.shape[axis])).sum()) / total
        for axis, others in enumerate(((1, 2), (0, 2), (0, 1)))
    ]
    head_mm3 = np.count_nonzero(is_head) * math.prod(voxel_size_mm)
    return _Sphere(np.array(centre) * voxel_size_mm, _radius_of(head_mm3))


def _median_inside(
    volume: Volume, voxel_size_mm: Sequence[float], sphere: _Sphere, t2: float, t98: float
) -> float | None:
    x, y, z = (
        (np.arange(n, dtype=np.float32) * np.float32(size) - np.float32(centre)) ** 2
        for n, size, centre in zip(volume.shape, voxel_size_mm, sphere.centre_mm, strict=True)
    )
    is_inside = x[:, None, None] + y[:, None] + z < np.float32(sphere.radius_mm**2)
    values = volume[is_inside]
    values = values[(values > np.float32(t2)) & (values < np.float32(t98))]
    return float(np.median(values)) if values.size else None


def _radius_of(volume_mm3: float) -> float:
    return math.cbrt(3 * volume_mm3 / (4 * math.pi))
