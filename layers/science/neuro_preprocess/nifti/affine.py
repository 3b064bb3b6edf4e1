"""Where the voxels lie: the decision between a header's sform and qform, and the qform of an affine.

World coordinates are RAS+ mm throughout: x to the right, y to the front, z to the top of the head. A volume read with
left and right exchanged looks perfectly well, so the rules here refuse rather than guess:

- A form counts when its code is above 0, and must then be valid; a form with code 0 is not looked at.
- The sform wins over the qform, as in niworkflows' `ValidateImage`, but when both count they must agree: the corners
  of the volume within half a voxel, and the same handedness. Otherwise `XFORM_CONFLICT`: readers differ in which of the
  two they follow, so the file means different things to different tools.
- When neither counts the format leaves the axes undefined, and what other readers substitute (nibabel invents LAS,
  fMRIPrep writes it down as code 1) is a guess at left and right. `NO_ORIENTATION`: whoever knows the scan can set a
  code in a second, whoever reads the result cannot find out.

Formulas: the NIfTI-1 standard's METHOD 2 and 3, and Bar-Itzhack (2000), "New method for extracting the quaternion from
a rotation matrix", J. Guid. Control Dyn. 23(6), for the way back.
"""

from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Affine

Vector: TypeAlias = npt.NDArray[np.float64]

LAST_XFORM_CODE = 5
"""0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI 152, 5 another template."""

_MAX_ORIGIN_MM = 10_000.0
_MAX_CORNER_DISTANCE_VOXELS = 0.5
_MIN_AXES_VOLUME = 0.01
_MAX_SHEAR_COSINE = 1e-4
_QUATERNION_TOLERANCE = 1e-5


class Placement(NamedTuple):
    """The affine that counts, the code of its space, and whether it is the sform's."""

    affine: Affine
    xform_code: int
    is_sform: bool


def place(fields: Any, shape: tuple[int, int, int], mm_per_unit: float) -> Placement:
    """Affine of a volume by the rules above.

    Parameters
    ----------
    fields : structured scalar
        Header in a layout of `_layout`.
    shape : (3,) tuple of int
    mm_per_unit : float
        Length of the header's unit.

    Raises
    ------
    InvalidInputError
        `BAD_AFFINE`, `NO_ORIENTATION`, `XFORM_CONFLICT`.
    """
    sform_code, qform_code = _code(fields, "sform_code"), _code(fields, "qform_code")
    sform = _checked("sform", _sform(fields, mm_per_unit)) if sform_code else None
    qform = _checked("qform", _qform(fields, mm_per_unit)) if qform_code else None
    if sform is not None and qform is not None:
        _check_agree(sform, qform, shape)
    if sform is not None:
        return Placement(sform, sform_code, is_sform=True)
    if qform is not None:
        return Placement(qform, qform_code, is_sform=False)
    raise InvalidInputError(
        InputFault.NO_ORIENTATION,
        "`sform_code` and `qform_code` are both 0, so left and right are unknown; expected one of them above 0",
    )


def voxel_edges(affine: Affine) -> Vector:
    """(3,) lengths of a voxel along its axes, in the affine's unit."""
    edges: Vector = np.linalg.norm(affine[:3, :3], axis=0)
    return edges


def is_sheared(affine: Affine) -> bool:
    """Whether the axes of a non-singular affine are not at right angles (by more than 0.1 milliradian)."""
    directions = affine[:3, :3] / voxel_edges(affine)
    cosines = directions.T @ directions - np.eye(3)
    return bool(np.abs(cosines).max() > _MAX_SHEAR_COSINE)


def rotation_of(quaternion: Vector) -> Vector:
    """(3, 3) rotation matrix of the unit quaternion (a, b, c, d)."""
    a, b, c, d = quaternion
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def quaternion_of(rotation: Vector) -> Vector:
    """Find the unit quaternion (a, b, c, d), a >= 0, of the rotation nearest to a (3, 3) matrix (Bar-Itzhack 2000)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion: Vector = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def _code(fields: Any, name: str) -> int:
    code = int(fields[name])
    if not 0 <= code <= LAST_XFORM_CODE:
        raise InvalidInputError(InputFault.BAD_AFFINE, f"`{name}` is {code}, expected 0 to {LAST_XFORM_CODE}")
    return code


def _sform(fields: Any, mm_per_unit: float) -> Affine:
    affine = np.eye(4)
    affine[:3] = fields["srow"].astype(np.float64) * mm_per_unit
    return affine


def _qform(fields: Any, mm_per_unit: float) -> Affine:
    pixdim = fields["pixdim"].astype(np.float64)
    imaginary = fields["quatern"].astype(np.float64)
    length = float(imaginary @ imaginary)
    # Real files overshoot 1 by their float32 rounding; NIfTI's own library normalises whatever comes.
    if not length <= 1 + _QUATERNION_TOLERANCE:
        raise InvalidInputError(
            InputFault.BAD_AFFINE, f"the quaternion of the qform has squared length {length:g}, expected at most 1"
        )
    quaternion = np.array([np.sqrt(max(0.0, 1 - length)), *imaginary])
    # `pixdim[0]` is the handedness; the standard reads 0 as 1, and NIfTI's own library goes by the sign.
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    if not np.isfinite(pixdim[0]):
        raise InvalidInputError(InputFault.BAD_AFFINE, f"`pixdim[0]` is {pixdim[0]}, expected 1 or -1")
    affine = np.eye(4)
    affine[:3, :3] = rotation_of(quaternion / np.linalg.norm(quaternion)) * pixdim[1:4] * (1, 1, handedness)
    affine[:3, 3] = fields["qoffset"]
    affine[:3] *= mm_per_unit
    return affine


def _checked(form: str, affine: Affine) -> Affine:
    if not np.isfinite(affine).all():
        raise InvalidInputError(InputFault.BAD_AFFINE, f"the {form} holds values that are not finite")
    edges = voxel_edges(affine)
    if not edges.all() or abs(np.linalg.det(affine[:3, :3] / edges)) < _MIN_AXES_VOLUME:
        raise InvalidInputError(InputFault.BAD_AFFINE, f"the {form} is singular: its axes span no volume")
    distance_mm = np.abs(affine[:3, 3]).max()
    if distance_mm > _MAX_ORIGIN_MM:
        raise InvalidInputError(
            InputFault.BAD_AFFINE,
            f"the {form} puts the first voxel {distance_mm:g} mm away, expected at most {_MAX_ORIGIN_MM:g} mm",
        )
    return affine


def _check_agree(sform: Affine, qform: Affine, shape: tuple[int, int, int]) -> None:
    # Opposite handedness moves some corner of a volume of right angles too far, too; it deserves words of its own.
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise InvalidInputError(
            InputFault.XFORM_CONFLICT,
            "the sform and the qform disagree on which side is left; set the code of the wrong one to 0",
        )
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in shape))])
    distances_mm = np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1)
    allowed_mm = _MAX_CORNER_DISTANCE_VOXELS * min(*voxel_edges(sform), *voxel_edges(qform))
    if distances_mm.max() > allowed_mm:
        raise InvalidInputError(
            InputFault.XFORM_CONFLICT,
            f"the sform and the qform disagree by up to {distances_mm.max():.3g} mm, expected at most "
            f"{allowed_mm:.3g} mm; set the code of the wrong one to 0",
        )
