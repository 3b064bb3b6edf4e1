"""A smooth field as a tensor product of cubic B-splines: fitted to scattered voxels, evaluated anywhere.

The least-squares problem on a grid separates: the normal matrix is three small contractions of the weights, whatever
the number of voxels. One factorisation then serves every iteration that keeps the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Volume

Floats: TypeAlias = npt.NDArray[np.float64]

# A touch of the identity: a coefficient that no voxel reaches is then zero, and the system never singular.
_RIDGE = 1e-6


class Extent(NamedTuple):
    """Where a field lives along an axis: `length` voxels from voxel `start`. Beyond, it stays what it is at the end."""

    start: int
    length: int


@dataclass(frozen=True)
class LogField:
    """Logarithm of a multiplicative field, as a sum of splines over one box of a volume.

    Attributes
    ----------
    box : (3,) tuple of Extent
        In voxels of the volume that the field belongs to.
    layers : tuple of (M + 3, M + 3, M + 3) ndarray of float64
        Coefficients on a mesh of M intervals an axis, a layer for each mesh; the field is their sum.
    """

    box: tuple[Extent, Extent, Extent]
    layers: tuple[Floats, ...]

    def evaluate(self, shape: tuple[int, ...], *, origin: tuple[int, ...] = (0, 0, 0)) -> Volume:
        """Field on the voxels of a box of `shape` whose first voxel is `origin`.

        Returns
        -------
        (X, Y, Z) ndarray of float32, Fortran-ordered
        """
        total: Volume | None = None
        for coefficients in self.layers:
            mesh = coefficients.shape[0] - 3
            bases = [
                basis_matrix((np.arange(o, o + n) - e.start + 0.5) / e.length, mesh)
                for o, n, e in zip(origin, shape, self.box, strict=True)
            ]
            layer = tensor_product(bases, coefficients)
            total = layer if total is None else np.add(total, layer, out=total)
        if total is None:
            return np.zeros(shape, np.float32, order="F")
        return total

    def scaled(self, factor: float) -> "LogField":
        """The field's logarithm times `factor`: 1 leaves it, 0 makes the field 1 everywhere."""
        return LogField(self.box, tuple(layer * factor for layer in self.layers))

    def shifted(self, offset: float) -> "LogField":
        """`offset` added to the field's logarithm everywhere."""
        # B-splines sum to 1: a constant added to every coefficient of one layer is added to the field.
        return LogField(self.box, (self.layers[0] + offset, *self.layers[1:]))


def basis_matrix(positions: npt.NDArray[Any], mesh: int) -> Floats:
    """Cubic B-splines on `mesh` equal intervals of [0, 1], at each position; positions beyond count as its ends.

    Returns
    -------
    (N, mesh + 3) ndarray of float64
        Rows sum to 1.
    """
    t = np.clip(positions, 0, 1) * mesh
    interval = np.minimum(t.astype(np.intp), mesh - 1)
    u = t - interval
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1) / 6
    basis = np.zeros((t.size, mesh + 3))
    np.put_along_axis(basis, interval[:, None] + np.arange(4), weights, axis=1)
    return basis


def tensor_product(bases: Sequence[Floats], coefficients: Floats) -> Volume:
    """Sum over a, b, c of `coefficients[a, b, c] * bases[0][x, a] * bases[1][y, b] * bases[2][z, c]`.

    Returns
    -------
    (X, Y, Z) ndarray of float32, Fortran-ordered
    """
    x, y, z = (basis.astype(np.float32) for basis in bases)
    # Small axes first, x last: the one large product writes the volume in the order in which it is stored.
    partial = np.einsum("zc,abc->zba", z, coefficients.astype(np.float32))
    partial = np.matmul(y, partial)
    return np.asarray((partial.reshape(-1, x.shape[1]) @ x.T).reshape(z.shape[0], y.shape[0], x.shape[0]).T)


class SplineFit:
    """Least-squares fit of a spline to weighted values on a grid, the weights being known from the start.

    Parameters
    ----------
    weights : (X, Y, Z) ndarray
        Weight of each grid point; 0 where there is no value.
    mesh : int
        Intervals an axis.
    stiffness : float
        Weight of the squared second differences of the coefficients, relative to that of the data.
    """

    def __init__(self, weights: npt.NDArray[Any], mesh: int, stiffness: float) -> None:
        self.bases = [basis_matrix((np.arange(n) + 0.5) / n, mesh) for n in weights.shape]
        self._count = mesh + 3
        normal = self._normal_matrix(weights)
        mean_diagonal = float(np.trace(normal)) / normal.shape[0]
        penalty = stiffness * _second_difference_penalty(self._count) + _RIDGE * np.eye(normal.shape[0])
        self._inverse = np.linalg.inv(normal + max(mean_diagonal, np.finfo(float).tiny) * penalty)

    def solve(self, weighted_values: npt.NDArray[Any]) -> Floats:
        """Coefficients of the spline nearest to the values; each value comes multiplied by its weight."""
        x, y, z = self.bases
        partial = np.tensordot(weighted_values, x, (0, 0))
        partial = np.tensordot(partial, y, (0, 0))
        right_side = np.tensordot(partial, z, (0, 0))
        return np.asarray((self._inverse @ right_side.ravel()).reshape((self._count,) * 3))

    def _normal_matrix(self, weights: npt.NDArray[Any]) -> Floats:
        x, y, z = (_products_of_pairs(basis) for basis in self.bases)
        partial = np.tensordot(np.tensordot(weights, x, (0, 0)), y, (0, 0))
        pairs = np.tensordot(partial, z, (0, 0)).reshape((self._count,) * 6)
        size = self._count**3
        return np.asarray(pairs.transpose(0, 2, 4, 1, 3, 5).reshape(size, size))


def _products_of_pairs(basis: Floats) -> Floats:
    return np.asarray((basis[:, :, None] * basis[:, None, :]).reshape(basis.shape[0], -1))


def _second_difference_penalty(count: int) -> Floats:
    differences = np.diff(np.eye(count), 2, axis=0)
    bending, identity = differences.T @ differences, np.eye(count)
    return np.asarray(
        np.kron(np.kron(bending, identity), identity)
        + np.kron(np.kron(identity, bending), identity)
        + np.kron(np.kron(identity, identity), bending)
    )
