"""The words all stages share: a volume with its place in space, and a notice about it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Volume: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]
Affine: TypeAlias = npt.NDArray[np.float64]
Contrast: TypeAlias = Literal["T1w", "T2w"]


@dataclass(frozen=True)
class Image:
    """A volume and where it lies.

    Attributes
    ----------
    data : (X, Y, Z) ndarray
        Voxels, Fortran-ordered (as NIfTI stores them).
    affine : (4, 4) ndarray of float64
        Voxel indices to world coordinates, RAS+, in mm.
    xform_code : int
        NIfTI code of that space: 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
    """

    data: npt.NDArray[Any]
    affine: Affine
    xform_code: int = 1

    @property
    def voxel_size_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along its three axes, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True)
class Notice:
    """Something odd about a scan that did not stop it.

    Attributes
    ----------
    code : str
        Stable name, upper case, as `InputFault`.
    message : str
        One sentence for a person; no patient data.
    """

    code: str
    message: str
