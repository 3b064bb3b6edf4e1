"""What each stage found, as plain values: for the record that travels with a scan, and for its sidecars."""

from dataclasses import asdict
from typing import Any, TypeAlias

from neuro_preprocess.bias_correct import BiasCorrection
from neuro_preprocess.conform import Conformed
from neuro_preprocess.nifti import NiftiHeader, Scan
from neuro_preprocess.skull_strip import BrainExtraction

Facts: TypeAlias = dict[str, Any]


def conform_facts(header: NiftiHeader, scan: Scan, conformed: Conformed) -> Facts:
    """What a scan was and what conforming made of it; sizes in voxels and mm."""
    return {
        "source_shape": header.shape,
        "source_voxel_size_mm": header.voxel_size_mm,
        "source_dtype": header.dtype.name,
        "nonfinite_voxels": scan.nonfinite_voxels,
        "shape": conformed.image.data.shape,
        "voxel_size_mm": conformed.image.voxel_size_mm,
        "is_resampled": conformed.plan.is_resampled,
    }


def skull_strip_facts(brain: BrainExtraction) -> Facts:
    """How large the brain is, how it was found, and what speaks for and against the mask."""
    return {
        "brain_volume_ml": brain.volume_ml,
        "fraction": brain.fraction,
        "is_low_confidence": brain.is_low_confidence,
        "checks": [asdict(check) for check in brain.checks],
    }


def bias_correct_facts(corrected: BiasCorrection) -> Facts:
    """The field that was divided out, and how much of the estimate was believed (`damping`, 0 to 1)."""
    return {
        "field_min": corrected.field_min,
        "field_max": corrected.field_max,
        "field_median": corrected.field_median,
        "damping": corrected.damping,
    }
