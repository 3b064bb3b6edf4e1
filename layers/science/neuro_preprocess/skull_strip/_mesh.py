"""From a closed surface to the voxels that it encloses."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess.image import Mask
from neuro_preprocess.skull_strip._surface import Surface

# A surface wider than this has exploded: no field of view is as wide.
_LARGEST_BOX = 1024


def fill_surface(surface: Surface, shape: tuple[int, ...], voxel_size_mm: Sequence[float]) -> Mask | None:
    """Voxels on a closed surface or inside it.

    The triangles are sampled every half voxel or closer and what cannot be reached from outside is filled: a surface
    that cuts through itself does no harm.

    Parameters
    ----------
    surface : Surface
    shape : (3,) tuple of int
    voxel_size_mm : (3,) sequence of float

    Returns
    -------
    (X, Y, Z) ndarray of bool, Fortran-ordered, or None
        None where the surface has exploded.
    """
    vertices = surface.vertices.T.astype(np.float64) / voxel_size_mm
    # The box holds the whole surface, wherever the volume ends: outside must be one piece.
    low = np.minimum(np.floor(vertices.min(axis=0)) - 1, 0)
    high = np.maximum(np.ceil(vertices.max(axis=0)) + 2, shape)
    if not (high - low).max() <= _LARGEST_BOX:
        return None
    origin, box = (-low).astype(int), tuple((high - low).astype(int))
    crust = np.zeros(box, bool, order="F")
    for points in _samples(vertices[surface.faces] - low):
        crust[tuple(points.T)] = True
    within = tuple(slice(o, o + n) for o, n in zip(origin, shape, strict=True))
    return np.asfortranarray(fill_holes(crust)[within])


def fill_holes(mask: Mask) -> Mask:
    """Mask with every hole filled that has no way out through faces of voxels to the volume's border."""
    # A rim of background joins all that lies outside; labelling it is several times as fast as growing it.
    outside = np.ones([n + 2 for n in mask.shape], bool, order="F")
    inner = (slice(1, -1),) * 3
    np.logical_not(mask, out=outside[inner])
    labels = np.empty(outside.shape, np.int32, order="F")
    ndimage.label(outside, output=labels)
    return np.asarray(labels[inner] != labels[0, 0, 0])


def _samples(triangles: npt.NDArray[np.float64]) -> list[npt.NDArray[np.intp]]:
    """Voxels that triangles pass through, those of about equal size at a time."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    longest = np.sqrt(np.max([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0))
    divisions = np.ceil(2 * longest).astype(np.intp) + 1
    found = []
    for count in np.unique(divisions):
        u, v = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
        is_within = u + v <= count
        u, v = u[is_within, None] / count, v[is_within, None] / count
        some = divisions == count
        points = a[some, None] * (1 - u - v) + b[some, None] * u + c[some, None] * v
        found.append(np.rint(points).astype(np.intp).reshape(-1, 3))
    return found
