"""A sphere of nearly equal triangles: an icosahedron, each triangle split in four as often as wanted."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.intp]
Points: TypeAlias = npt.NDArray[np.float32]

_MOST_NEIGHBOURS = 6


@dataclass(frozen=True)
class Icosphere:
    """A unit sphere as a mesh.

    Attributes
    ----------
    vertices : (3, V) ndarray of float32
    faces : (F, 3) ndarray of int
        Vertices anticlockwise as seen from outside.
    rings : (V, 6) ndarray of int
        Neighbours of each vertex, in order around it and anticlockwise. The twelve vertices that have only five repeat
        the first one at the end, which closes the ring and adds nothing to a sum of cross products.
    ring_weights : (V, 6) ndarray of float32
        Weights for a mean over the neighbours: a repeated one weighs nothing.
    """

    vertices: Points
    faces: Indices
    rings: Indices
    ring_weights: Points


@lru_cache(maxsize=4)
def icosphere(level: int) -> Icosphere:
    """Icosahedron split `level` times: `10 * 4**level + 2` vertices."""
    vertices, faces = _icosahedron()
    for _ in range(level):
        vertices, faces = _split(vertices, faces)
    rings, is_real = _rings(faces, len(vertices))
    sphere = Icosphere(
        vertices=np.ascontiguousarray(vertices.T, np.float32),
        faces=faces,
        rings=rings,
        ring_weights=(is_real / is_real.sum(axis=1, keepdims=True)).astype(np.float32),
    )
    for array in (sphere.vertices, sphere.faces, sphere.rings, sphere.ring_weights):
        array.setflags(write=False)  # shared by every caller
    return sphere


def _icosahedron() -> tuple[npt.NDArray[np.float64], Indices]:
    golden = (1 + 5**0.5) / 2
    # Three golden rectangles, each across two of the axes.
    corners = [(0, y, z * golden) for y in (-1, 1) for z in (-1, 1)]
    vertices = np.array([np.roll(corner, turn) for turn in range(3) for corner in corners])
    # Every three corners that are an edge (length 2) apart from each other are a face.
    distances = np.linalg.norm(vertices[:, None] - vertices[None], axis=2)
    is_edge = np.isclose(distances, 2)
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if is_edge[a, b] and is_edge[b, c] and is_edge[a, c]
    ]
    outward = [(a, b, c) if np.linalg.det(vertices[[a, b, c]]) > 0 else (a, c, b) for a, b, c in faces]
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), np.array(outward, np.intp)


def _split(vertices: npt.NDArray[np.float64], faces: Indices) -> tuple[npt.NDArray[np.float64], Indices]:
    a, b, c = faces.T
    edges = np.sort(np.concatenate([np.stack(pair, axis=1) for pair in ((a, b), (b, c), (c, a))]), axis=1)
    unique, of_edge = np.unique(edges, axis=0, return_inverse=True)
    middles = vertices[unique].sum(axis=1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    ab, bc, ca = of_edge.reshape(3, -1) + len(vertices)
    corners = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([vertices, middles]), np.concatenate([np.stack(corner, axis=1) for corner in corners])


def _rings(faces: Indices, count: int) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Neighbours in order, and which of them are not repetitions."""
    following: list[dict[int, int]] = [{} for _ in range(count)]
    for a, b, c in faces.tolist():
        following[a][b], following[b][c], following[c][a] = c, a, b
    rings = np.empty((count, _MOST_NEIGHBOURS), np.intp)
    is_real = np.ones((count, _MOST_NEIGHBOURS), bool)
    for vertex, after in enumerate(following):
        neighbour = min(after)
        for place in range(_MOST_NEIGHBOURS):
            rings[vertex, place] = neighbour
            is_real[vertex, place] = place < len(after)
            neighbour = after[neighbour]
    return rings, is_real
