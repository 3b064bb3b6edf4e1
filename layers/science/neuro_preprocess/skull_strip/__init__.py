"""The brain in a head: BET's surface on a coarse copy, refined by intensity, and checked by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Contrast, Mask, Volume
from neuro_preprocess.skull_strip._attempt import find_brain
from neuro_preprocess.skull_strip._checks import SelfCheck, border_check, shape_checks, surroundings_checks
from neuro_preprocess.skull_strip._coarse import coarsen, refined_grid

__all__ = ["BrainExtraction", "SelfCheck", "skull_strip"]


@dataclass(frozen=True)
class BrainExtraction:
    """A brain's mask, and what there is to say about it.

    Attributes
    ----------
    mask : (X, Y, Z) ndarray of bool
        Fortran-ordered, on the grid of the volume.
    volume_ml : float
    fraction : float
        The surface's threshold that gave this mask.
    checks : tuple of SelfCheck
    used_second_pass : bool
        Whether shading was so strong that the surface was grown again on the corrected head.
    is_low_confidence : bool
        A check has failed, or the contrast is T2w.
    attempts : int
        Fractions tried.
    """

    mask: Mask
    volume_ml: float
    fraction: float
    checks: tuple[SelfCheck, ...]
    used_second_pass: bool
    is_low_confidence: bool
    attempts: int


def skull_strip(
    volume: Volume, voxel_size_mm: Sequence[float], *, contrast: Contrast = "T1w", fraction: float = 0.5
) -> BrainExtraction:
    """Mask of the brain in a scan of a head, with grey and white matter, ventricles and the fluid in the folds.

    The surface is grown at about 2 mm in the upper 165 mm of the head, shading is estimated inside it and removed
    where it is more than anatomy, and the brain's own intensities then cut away what the surface took in too much.
    When the size or form of the outcome is not a brain's, other fractions are tried and the first plausible one wins.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
        RAS+; finite, any scale and offset.
    voxel_size_mm : (3,) sequence of float
    contrast : {"T1w", "T2w"}, default="T1w"
        T2w masks are of lower quality (a Dice coefficient of about 0.9) and marked so.
    fraction : float, default=0.5
        BET's fractional intensity threshold to try first, above 0 and below 1: less makes a larger brain. On T2w 0.6
        of it is used, since the brain is darker there than the fluid around it.

    Returns
    -------
    BrainExtraction

    Raises
    ------
    InvalidInputError
        `NO_BRAIN`: nothing that could be a brain was found, with any fraction.
    ValueError
        The fraction is out of range.

    References
    ----------
    Smith SM. Fast robust automated brain extraction. Hum Brain Mapp 17:143-155, 2002. The refinement, the retries and
    the checks are of this project.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"expected a fraction between 0 and 1, got {fraction}")
    coarse = coarsen(volume, voxel_size_mm)
    best, attempts = (None, 0) if coarse is None else find_brain(coarse, contrast, fraction)
    if coarse is None or best is None or not best.mask.any():
        raise InvalidInputError(
            InputFault.NO_BRAIN, f"expected a head with a brain in it, found none in {attempts} attempts"
        )
    mask = refined_grid(best.mask, coarse, volume.shape)
    checks = (
        *shape_checks(mask, voxel_size_mm),
        border_check(mask, voxel_size_mm),
        *surroundings_checks(coarse.volume, best.mask, coarse.voxel_size_mm, contrast),
    )
    return BrainExtraction(
        mask=mask,
        volume_ml=checks[0].value,
        fraction=best.fraction,
        checks=checks,
        used_second_pass=best.used_second_pass,
        is_low_confidence=contrast == "T2w" or not all(check.is_passed for check in checks),
        attempts=attempts,
    )
