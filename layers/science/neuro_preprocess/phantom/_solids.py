"""Solids as signed distances, negative inside, on the voxels of a box: what the phantom is carved from.

Arrays here are (Z, Y, X) and C-ordered, which transposed is a Fortran-ordered volume. Coordinates are mm.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Point: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """Voxels of a box within a volume, and where they are.

    Attributes
    ----------
    slices : (3,) tuple of slice
        The box within the volume: z, y, x.
    x, y, z : ndarray of float32
        Coordinates, shaped to broadcast to the box.
    """

    slices: tuple[slice, slice, slice]
    x: Array
    y: Array
    z: Array

    @classmethod
    def of(cls, x: npt.NDArray[Any], y: npt.NDArray[Any], z: npt.NDArray[Any]) -> "Box":
        """All voxels of a volume, from the coordinates along its axes."""
        x, y, z = (np.asarray(axis, dtype=np.float32) for axis in (x, y, z))
        slices = (slice(0, z.size), slice(0, y.size), slice(0, x.size))
        return cls(slices, x[None, None, :], y[None, :, None], z[:, None, None])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        return self.z.size, self.y.size, self.x.size

    def slab(self, start: int, stop: int) -> "Box":
        """Slices `start` to `stop` of the box along z."""
        of_volume, y, x = self.slices
        first = of_volume.start + start
        z = self.z[start:stop]
        return Box((slice(first, first + z.size), y, x), self.x, self.y, z)

    def around(self, low: Point, high: Point) -> "Box":
        """Part of the box between two corners; of no voxel where they lie outside it."""
        within = []
        for axis, near, far in zip((self.z, self.y, self.x), reversed(low), reversed(high), strict=True):
            start, stop = np.searchsorted(axis.ravel(), [near, far])
            within.append(slice(int(start), int(stop)))
        z, y, x = within
        of_z, of_y, of_x = (
            slice(outer.start + inner.start, outer.start + inner.stop)
            for outer, inner in zip(self.slices, within, strict=True)
        )
        return Box((of_z, of_y, of_x), self.x[:, :, x], self.y[:, y], self.z[z])

    def ellipsoid(self, centre: Point, radii: Point) -> Array:
        """Distance to an ellipsoid along the axes: exact at its surface, to first order near it."""
        x, y, z = (
            np.square((axis - np.float32(c)) / np.float32(r))
            for axis, c, r in zip((self.x, self.y, self.z), centre, radii, strict=True)
        )
        level = np.sqrt(x + y + z)
        rx, ry, rz = (np.float32(r * r) for r in radii)
        slope = np.sqrt(x / rx + y / ry + z / rz)
        return np.asarray(level * (level - 1) / np.maximum(slope, np.float32(1e-6)))

    def capsule(self, start: Point, end: Point, radius: float) -> Array:
        """Distance to a rod with round ends."""
        x, y, z = (axis - np.float32(s) for axis, s in zip((self.x, self.y, self.z), start, strict=True))
        dx, dy, dz = (np.float32(e - s) for s, e in zip(start, end, strict=True))
        along = np.clip((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz), 0, 1)
        squared = np.square(x - along * dx) + np.square(y - along * dy) + np.square(z - along * dz)
        return np.asarray(np.sqrt(squared) - np.float32(radius))


@dataclass(frozen=True)
class Waves:
    """Smooth random values of mean 0 and deviation 1: plane waves of one length in random directions."""

    vectors: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, wavelength: float, count: int = 5) -> "Waves":
        """Wave vectors and phases of `count` waves."""
        directions = rng.standard_normal((count, 3))
        vectors = directions * (2 * math.pi / wavelength) / np.linalg.norm(directions, axis=1, keepdims=True)
        phases = rng.uniform(0, 2 * math.pi, count)
        return cls(
            tuple((float(x), float(y), float(z), float(p)) for (x, y, z), p in zip(vectors, phases, strict=True))
        )

    def over(self, box: Box) -> Array:
        """Values on the voxels of a box."""
        total = np.zeros(box.shape, np.float32)
        for kx, ky, kz, phase in self.vectors:
            # cos(a + b) of a plane and a line: two products a voxel in place of a cosine.
            plane = kx * box.x + ky * box.y + phase
            line = kz * box.z
            total += np.cos(plane) * np.cos(line)
            total -= np.sin(plane) * np.sin(line)
        return self._unit(total)

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Values at points anywhere."""
        total = np.zeros_like(x)
        for kx, ky, kz, phase in self.vectors:
            total += np.cos(kx * x + ky * y + kz * z + phase)
        return self._unit(total)

    def _unit(self, total: Array) -> Array:
        return total * np.float32(math.sqrt(2 / len(self.vectors)))


def union(a: Array, b: Array, fillet: float) -> Array:
    """Distance to what is in either solid, the crease between them filled to a radius of about `fillet`."""
    overlap = np.maximum(np.float32(fillet) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - np.square(overlap) / np.float32(4 * fillet))
