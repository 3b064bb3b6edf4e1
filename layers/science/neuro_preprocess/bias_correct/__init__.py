"""Brain intensities freed of the smooth shading that receive coils leave: one tissue, one intensity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuro_preprocess._field.log_field import LogField
from neuro_preprocess._field.n4 import n4_log_field
from neuro_preprocess._field.wiener import wiener_damping
from neuro_preprocess._voxels import bounding_box
from neuro_preprocess.bias_correct._white_matter import white_matter_log_field, white_matter_mask
from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Contrast, Mask, Volume

# On T1w one coarse level is a start for the white-matter fit; where there is no such fit, finer levels do its work.
_T1W_MESHES = (1,)
_T2W_MESHES = (1, 2, 4)
# Standard deviation of the log field that this estimator finds where there is none: it takes the bright centre and the
# grey rim of any brain for a little shading.
_SPREAD_OF_ANATOMY = 0.02
# No coil shades a brain by more; a field beyond is an accident of the fit outside the voxels that it was fitted to.
_LARGEST_LOG_FIELD = float(np.log(8.0))


@dataclass(frozen=True)
class BiasCorrection:
    """A volume freed of its bias field, and what the field was like.

    Attributes
    ----------
    volume : (X, Y, Z) ndarray of float32
        The whole volume corrected, Fortran-ordered. The mean logarithm of the field inside the mask is 0, so that
        intensities keep their level.
    log_field : LogField
        Logarithm of the field that the volume was divided by, damping included; a few hundred numbers.
    field_min, field_max, field_median, spread : float
        Of the field inside the mask; `spread` is the standard deviation of its logarithm.
    damping : float
        Share of the estimated field that was applied: 0 none, 1 all of it.
    white_matter_cv_before, white_matter_cv_after : float
        Standard deviation over mean in the same white-matter voxels, found on the corrected volume. NaN on T2w.
    n4_iterations, white_matter_fits : int
    """

    volume: Volume
    log_field: LogField
    field_min: float
    field_max: float
    field_median: float
    spread: float
    damping: float
    white_matter_cv_before: float
    white_matter_cv_after: float
    n4_iterations: int
    white_matter_fits: int

    def field(self) -> Volume:
        """Bias field on the volume's grid, made anew: the uncorrected volume divided by the corrected one.

        Returns
        -------
        (X, Y, Z) ndarray of float32, Fortran-ordered
        """
        return _field(self.log_field, self.volume.shape)


def bias_correct(
    volume: Volume, mask: Mask, voxel_size_mm: Sequence[float], *, contrast: Contrast = "T1w"
) -> BiasCorrection:
    """Volume divided by the smooth field that best explains the uneven intensities of its brain.

    T1w: one level of N4, then splines fitted to the white matter, the one tissue that fills the brain and is bright.
    T2w: three levels of N4. The field found is then damped by what the method would find on a scan without any:
    with `s` the spread found and `s0` that of anatomy alone, `1 - (s0 / s)^2` of it is applied (none where `s < s0`),
    as a Wiener filter would weigh a signal against a known error.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        The whole head; finite.
    mask : (X, Y, Z) ndarray of bool
        The brain. The field is estimated inside it, and beyond its bounding box stays what it is at the box's faces.
    voxel_size_mm : (3,) sequence of float
    contrast : {"T1w", "T2w"}, default="T1w"

    Returns
    -------
    BiasCorrection

    Raises
    ------
    InvalidInputError
        `NO_BRAIN`: the mask is empty. `NO_SIGNAL`: no voxel of the brain is positive.
    ValueError
        The shapes differ.
    """
    if volume.shape != mask.shape:
        raise ValueError(f"expected a mask of the volume's shape {volume.shape}, got {mask.shape}")
    if not mask.any():
        raise InvalidInputError(InputFault.NO_BRAIN, "expected a brain mask with voxels in it, got an empty one")
    box = bounding_box(mask)
    if not np.any(volume[box][mask[box]] > 0):
        raise InvalidInputError(InputFault.NO_SIGNAL, "expected positive intensities in the brain mask, got none")

    is_t1w = contrast == "T1w"
    found, iterations = n4_log_field(volume, mask, voxel_size_mm, meshes=_T1W_MESHES if is_t1w else _T2W_MESHES)
    fits = 0
    if is_t1w:
        found, fits = white_matter_log_field(volume, mask, voxel_size_mm, found)
    mean, spread = _mean_and_spread(found, mask)
    damping = wiener_damping(spread, _SPREAD_OF_ANATOMY)
    log_field = found.shifted(-mean).scaled(damping)

    field = _field(log_field, volume.shape)
    inside = field[box][mask[box]]
    corrected = np.divide(volume, field, out=field)
    cv_before, cv_after = _white_matter_cvs(volume, corrected, mask) if is_t1w else (float("nan"), float("nan"))
    return BiasCorrection(
        volume=corrected,
        log_field=log_field,
        field_min=float(inside.min()),
        field_max=float(inside.max()),
        field_median=float(np.median(inside)),
        spread=spread * damping,
        damping=damping,
        white_matter_cv_before=cv_before,
        white_matter_cv_after=cv_after,
        n4_iterations=iterations,
        white_matter_fits=fits,
    )


def _field(log_field: LogField, shape: tuple[int, ...]) -> Volume:
    field = log_field.evaluate(shape)
    np.clip(field, -_LARGEST_LOG_FIELD, _LARGEST_LOG_FIELD, out=field)
    return np.exp(field, out=field)


def _mean_and_spread(log_field: LogField, mask: Mask) -> tuple[float, float]:
    box = bounding_box(mask)
    inside = log_field.evaluate(mask[box].shape, origin=tuple(part.start for part in box))[mask[box]]
    return float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))


def _white_matter_cvs(before: Volume, after: Volume, mask: Mask) -> tuple[float, float]:
    box = bounding_box(mask)
    try:
        white = white_matter_mask(after[box], mask[box])
    except InvalidInputError:
        return float("nan"), float("nan")
    return _variation(before[box][white]), _variation(after[box][white])


def _variation(values: Volume) -> float:
    mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
    return float(values.std(dtype=np.float64)) / mean if mean > 0 else float("nan")
