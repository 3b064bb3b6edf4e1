"""The order and direction of a volume's axes, of which there are 48, and the way from each to RAS."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Affine


@dataclass(frozen=True)
class Canonical:
    """A volume seen with its axes nearest to RAS.

    Attributes
    ----------
    axes : (3,) tuple of int
        The stored axis that becomes x, y, z.
    is_reversed : (3,) tuple of bool
        Whether it runs the other way.
    shape : (3,) tuple of int
    affine : (4, 4) ndarray of float64
        Both as seen, not as stored.
    """

    axes: tuple[int, int, int]
    is_reversed: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    affine: Affine

    @property
    def stored_as(self) -> str:
        """Where the stored axes point: "LPS" for to the left, to the back, upwards."""
        letters = {
            axis: pair[reverse]
            for axis, reverse, pair in zip(self.axes, self.is_reversed, ("RL", "AP", "SI"), strict=True)
        }
        return letters[0] + letters[1] + letters[2]

    def view(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Voxels as seen; no copy is made."""
        x, y, z = (slice(None, None, -1 if reverse else None) for reverse in self.is_reversed)
        return data.transpose(self.axes)[x, y, z]


def closest_canonical(shape: tuple[int, ...], affine: Affine) -> Canonical:
    """Reordering and reversal of a volume's axes that bring it nearest to RAS.

    Parameters
    ----------
    shape : (3,) tuple of int
    affine : (4, 4) ndarray of float64
        Voxel indices to world coordinates, RAS+, in mm.

    Raises
    ------
    InvalidInputError
        `BAD_DIM`: not three axes of at least one voxel. `BAD_AFFINE`: not finite, or it takes the volume to a plane.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise InvalidInputError(InputFault.BAD_DIM, f"expected three axes of at least one voxel, got shape {shape}")
    affine = np.asarray(affine, dtype=np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InvalidInputError(
            InputFault.BAD_AFFINE, "expected an affine that is finite and spans three dimensions, got one that does not"
        )
    # The rotation nearest to the affine, so that shear does not decide.
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    cosines = left @ right
    axes = max(permutations(range(3)), key=lambda order: np.abs(cosines[range(3), order]).sum())
    is_reversed = cosines[range(3), axes] < 0
    to_stored = np.eye(4)
    to_stored[:3, :3] = np.eye(3)[:, axes] * np.where(is_reversed, -1, 1)
    to_stored[axes, 3] = np.where(is_reversed, np.take(shape, axes) - 1, 0)
    return Canonical(
        axes=(axes[0], axes[1], axes[2]),
        is_reversed=(bool(is_reversed[0]), bool(is_reversed[1]), bool(is_reversed[2])),
        shape=(shape[axes[0]], shape[axes[1]], shape[axes[2]]),
        affine=affine @ to_stored,
    )


def shear_cosine(affine: Affine) -> float:
    """Largest cosine between two axes of a volume; 0 where all are perpendicular."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(directions.T @ directions - np.eye(3)).max())
