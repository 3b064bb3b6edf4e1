"""The files a user gets, as paths and bytes: BIDS derivatives, quality reports, and what a dataset needs around them.

The same scan gives the same bytes: JSON has sorted keys and no times, but for the seconds in the quality report.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from neuro_preprocess import __version__
from neuro_preprocess.bids import BidsName, derivative_path, figure_path
from neuro_preprocess.image import Image, Mask, Notice
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.normalize import NormalizationMethod, NormalizationParameters
from neuro_preprocess.quality import QualityMeasures
from neuro_preprocess.quality.verdict import SelfCheck, Verdict
from neuro_preprocess.report.canvas import Picture
from neuro_preprocess.report.html import render_report
from neuro_preprocess.report.png import encode_png

PIPELINE_NAME = "neuro-preprocess"
BIDS_VERSION = "1.11.1"

_NIFTI = "application/gzip"
_JSON = "application/json"
_PNG = "image/png"
_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"

# What viewers are told to show: almost all of the brain, black to white.
_DISPLAY_WINDOWS: dict[NormalizationMethod, tuple[float, float]] = {"zscore": (-3.0, 3.0), "white-matter": (0.0, 1.5)}
_NORMALIZATIONS: dict[NormalizationMethod, str] = {
    "zscore": "mean 0 and standard deviation 1 inside the brain mask",
    "white-matter": "the median of white matter is 1",
}
_DATASET_README = """\
Brain-extracted, bias-corrected and intensity-normalised structural MRI, made by {name}.

    sub-<label>/[ses-<label>/]anat/*_desc-brain_T1w.nii.gz    the brain, 0 outside the mask
    sub-<label>/[ses-<label>/]anat/*_desc-brain_mask.nii.gz   the mask, on the same grid
    sub-<label>/figures/*_desc-qc_T1w.html                    the quality report; .png and .json beside it
    errors/                                                   why scans have no derivatives

Look at the quality report of a scan before using it. Its sidecars say how to undo the normalisation. A label that ends
in `x` and twelve hexadecimal digits was given to a scan whose name was not BIDS, or came from below another folder; the
digits are the beginning of a SHA-256 hash of that name or folder.

For research; not a medical device.
"""


@dataclass(frozen=True)
class DerivedFile:
    """A file to be stored.

    Attributes
    ----------
    path : str
        Below the top of the derivative dataset.
    content : bytes
    content_type : str
        MIME type.
    """

    path: str
    content: bytes
    content_type: str


def brain_files(
    name: BidsName,
    brain: Image,
    mask: Mask,
    parameters: NormalizationParameters,
    *,
    facts: Mapping[str, Any] | None = None,
    head: Image | None = None,
) -> tuple[DerivedFile, ...]:
    """Files of one scan: mask, brain, and the whole head if it is given.

    Parameters
    ----------
    name : BidsName
        Of the scan.
    brain : Image
        The normalised brain, float32, 0 outside the mask.
    mask : (X, Y, Z) ndarray of bool
        On the brain's grid.
    parameters : NormalizationParameters
        For the sidecar, so that the normalisation can be undone.
    facts : mapping, optional
        What else is known of how the files were made, by stage; plain values, for the sidecars' `ProcessingFacts`.
    head : Image, optional
        The bias-corrected head. It shows a face: give it only where that is asked for.

    Returns
    -------
    tuple of DerivedFile
        The brain itself comes last: once it stands, all else does.
    """
    mask_path = derivative_path(name, "brain", "mask", ".nii.gz")
    common = {"ProcessingFacts": dict(facts)} if facts else {}
    mask_sidecar = {
        **common,
        **origin_fields(name),
        "Description": "Brain mask, ventricles and sulci included"
        + ("" if name.contrast == "T1w" else "; of lower confidence, since this is not a T1w scan"),
        "Manual": False,
        "SpatialReference": _source_uri(name) or "orig",
        "Type": "Brain",
    }
    brain_sidecar = {
        **common,
        **origin_fields(name, mask_path),
        "Description": f"Brain, bias-corrected and normalised: {_NORMALIZATIONS[parameters.method]}",
        "IntensityNormalization": {"undo": "value * scale + shift, inside the mask", **asdict(parameters)},
        "SkullStripped": True,
    }
    cal_min, cal_max = _DISPLAY_WINDOWS[parameters.method]
    files = [
        DerivedFile(mask_path, encode_nifti(Image(mask, brain.affine, brain.xform_code), cal_max=1.0), _NIFTI),
        _json_file(derivative_path(name, "brain", "mask", ".json"), mask_sidecar),
        _json_file(derivative_path(name, "brain", name.contrast, ".json"), brain_sidecar),
    ]
    if head is not None:
        head_sidecar = {
            **common,
            **origin_fields(name),
            "Description": "Whole head, bias-corrected; it shows the face",
            "SkullStripped": False,
        }
        files += [
            _json_file(derivative_path(name, "preproc", name.contrast, ".json"), head_sidecar),
            DerivedFile(derivative_path(name, "preproc", name.contrast, ".nii.gz"), encode_nifti(head), _NIFTI),
        ]
    brain_path = derivative_path(name, "brain", name.contrast, ".nii.gz")
    files.append(DerivedFile(brain_path, encode_nifti(brain, cal_min=cal_min, cal_max=cal_max), _NIFTI))
    return tuple(files)


def quality_files(
    name: BidsName,
    *,
    picture: Picture,
    measures: QualityMeasures,
    verdict: Verdict,
    checks: Sequence[SelfCheck],
    notices: Sequence[Notice],
    stage_seconds: Mapping[str, float],
    provenance: Mapping[str, str],
) -> tuple[DerivedFile, ...]:
    """Quality report of one scan: the mosaic as PNG, the figures as JSON, and both in one HTML page.

    Parameters
    ----------
    name : BidsName
    picture : (H, W, 3) ndarray of uint8
        See `report.mosaic.render_mosaic`.
    measures, verdict, checks, notices, stage_seconds, provenance
        See `report.html.render_report`.

    Returns
    -------
    tuple of DerivedFile
    """
    png = encode_png(picture)
    figures = {
        "Verdict": verdict.status,
        "Reasons": [asdict(reason) for reason in verdict.reasons],
        "Measures": measures.to_dict(),
        "MaskChecks": [_check_fields(check) for check in checks],
        "Notices": [asdict(notice) for notice in notices],
        "StageSeconds": dict(stage_seconds),
        "Provenance": dict(provenance),
    }
    page = render_report(
        title=name.stem,
        verdict=verdict,
        measures=measures,
        checks=checks,
        notices=notices,
        stage_seconds=stage_seconds,
        provenance=provenance,
        picture=png,
        contrast=name.contrast,
    )
    return (
        DerivedFile(figure_path(name, ".png"), png, _PNG),
        _json_file(figure_path(name, ".json"), figures),
        DerivedFile(figure_path(name, ".html"), page.encode(errors="xmlcharrefreplace"), _HTML),
    )


def dataset_files(*, raw_uri: str, code_url: str | None = None) -> tuple[DerivedFile, ...]:
    """Files that stand once at the top of a derivative dataset.

    Parameters
    ----------
    raw_uri : str
        Where the raw dataset is, as `s3://bucket/` or a path relative to the derivatives; sidecars name it `raw`.
    code_url : str, optional
        Where the pipeline's code is.

    Returns
    -------
    tuple of DerivedFile
        The dataset's description first.
    """
    generated_by = {"Name": PIPELINE_NAME, "Version": __version__}
    if code_url is not None:
        generated_by["CodeURL"] = code_url
    description = {
        "BIDSVersion": BIDS_VERSION,
        "DatasetLinks": {"raw": raw_uri},
        "DatasetType": "derivative",
        "GeneratedBy": [generated_by],
        "Name": f"{PIPELINE_NAME} derivatives",
        "SourceDatasets": [{"URL": raw_uri}],
    }
    return (
        _json_file("dataset_description.json", description),
        # Without slashes at the end: validators match these against files and folders alike.
        DerivedFile(".bidsignore", b"errors\nsub-*/figures\n", _TEXT),
        DerivedFile("README", _DATASET_README.format(name=PIPELINE_NAME).encode(), _TEXT),
    )


def software_versions() -> dict[str, str]:
    """Versions of what computes: this project, and the libraries it stands on."""
    import platform

    import isal
    import numpy as np
    import scipy

    return {
        PIPELINE_NAME: __version__,
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "isal": isal.__version__,
    }


def origin_fields(name: BidsName, *derived_paths: str) -> dict[str, Any]:
    """Sidecar fields for where a file comes from; of a name that is not BIDS, which may be a patient's, only the hash.

    Parameters
    ----------
    name : BidsName
        Of the scan.
    *derived_paths : str
        Derivatives of the same dataset that it was made from as well.
    """
    derived = [f"bids::{path}" for path in derived_paths]
    uri = _source_uri(name)
    if uri is not None:
        return {"Sources": [uri, *derived]}
    key_hash = hashlib.sha256(name.key.encode(errors="surrogatepass")).hexdigest()
    return {"SourceKeySHA256": key_hash, **({"Sources": derived} if derived else {})}


def _source_uri(name: BidsName) -> str | None:
    return f"bids:raw:{quote(name.key, safe='/+')}" if name.is_valid else None


def _check_fields(check: SelfCheck) -> dict[str, Any]:
    return {
        "name": check.name,
        "value": check.value,
        "low": check.low,
        "high": check.high,
        "is_passed": check.is_passed,
    }


def _json_file(path: str, content: Mapping[str, Any]) -> DerivedFile:
    text = json.dumps(_finite(content), indent=2, sort_keys=True, allow_nan=False) + "\n"
    return DerivedFile(path, text.encode(), _JSON)


def _finite(value: Any) -> Any:
    """Value with None for every number that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
