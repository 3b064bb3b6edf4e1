"""A small BIDS dataset with its derivatives on disk, and the validator."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neuro_preprocess import derivatives
from neuro_preprocess.bids import BidsName
from neuro_preprocess.image import Image, Notice
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.normalize import normalize
from neuro_preprocess.quality import measure_quality
from neuro_preprocess.quality.verdict import judge
from neuro_preprocess.report.mosaic import render_mosaic
from neuro_preprocess.skull_strip import SelfCheck

ROOT = Path(__file__).parents[2]

RAW_KEYS = (
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii.gz",
    "sub-02/ses-2/anat/sub-02_ses-2_acq-highres_ce-gad_rec-norm_run-01_part-mag_T1w.nii.gz",
)
OTHER_KEYS = ("scan 1.nii.gz", "siteB/sub-01/anat/sub-01_T1w.nii.gz", "Jane Doe/t2w.NII.GZ")


@pytest.fixture(scope="session")
def validator(lack):
    """Path of the BIDS validator's command."""
    places = [Path(sys.executable).parent, ROOT / ".venv-bids" / "bin"]
    command = shutil.which("bids-validator-deno", path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    if command is None:
        lack("no `bids-validator-deno` in `.venv-bids` or on the path: `make test` installs it")
    return command


@pytest.fixture
def validate(validator, tmp_path):
    """Errors and warnings that the validator finds in a dataset: `(severity, code, sub-code, location)`."""

    def run(dataset: Path, *options: str) -> set[tuple[str, str, str, str]]:
        environment = {**os.environ, "DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
        command = [validator, "--format", "json", *options, str(dataset)]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
        try:
            report = json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"expected a report, got {done.stdout[:500]!r} and {done.stderr[:2000]!r}")
        reports = [report, *report.get("derivativesSummary", {}).values()]
        return {
            (issue["severity"], issue["code"], issue.get("subCode", ""), issue.get("location", ""))
            for each in reports
            for issue in each["issues"]["issues"]
        }

    return run


@pytest.fixture
def raw_dataset(tmp_path):
    """Raw dataset of three scans."""
    top = tmp_path / "raw"
    write(top, "README", b"Phantoms.\n")
    description = {"Name": "phantoms", "BIDSVersion": derivatives.BIDS_VERSION, "DatasetType": "raw"}
    write(top, "dataset_description.json", json.dumps(description).encode())
    for key in RAW_KEYS:
        write(top, key, encode_nifti(head(BidsName.parse(key).contrast)))
        write(top, key.replace(".nii.gz", ".json"), b"{}\n")
    return top


@pytest.fixture(scope="session")
def derived_files(validator):  # nothing is made where it cannot be validated
    """What the pipeline makes of all keys, BIDS or not."""
    files = list(derivatives.dataset_files(raw_uri="s3://lab-raw/", code_url="https://example.org/neuro-preprocess"))
    for key in (*RAW_KEYS, *OTHER_KEYS):
        files += scan_files(key)
    return files


@pytest.fixture
def derivative_dataset(tmp_path, derived_files):
    """A copy of it on disk, with an error file as the functions write it."""
    top = tmp_path / "derivatives"
    for file in derived_files:
        write(top, file.path, file.content)
    write(top, "errors/0123456789abcdef01234567.error.json", b"{}\n")
    return top


def scan_files(key: str) -> list[derivatives.DerivedFile]:
    name = BidsName.parse(key)
    image = head(name.contrast)
    mask = brain_mask()
    normalized = normalize(image.data, mask)
    measures = measure_quality(image.data, image.data, mask, image.voxel_size_mm, contrast=name.contrast)
    checks = [SelfCheck("volume_ml", 1400.0, 900.0, 2000.0)]
    notices = [Notice("TEXT_DROPPED", "free text is not carried over from `descrip`")]
    brain = Image(normalized.volume, image.affine, image.xform_code)
    facts = {"skull_strip": {"fraction": 0.5}}
    return [
        *derivatives.brain_files(name, brain, mask, normalized.parameters, facts=facts, head=image),
        *derivatives.quality_files(
            name,
            picture=render_mosaic(image.data, image.data, mask, image.voxel_size_mm, title=name.stem),
            measures=measures,
            verdict=judge(measures, checks, notices, contrast=name.contrast),
            checks=checks,
            notices=notices,
            stage_seconds={"conform": 0.5},
            provenance=derivatives.software_versions(),
        ),
    ]


def head(contrast: str) -> Image:
    rng = np.random.default_rng(1 if contrast == "T1w" else 2)
    data = np.asfortranarray(rng.normal(100, 10, (17, 18, 19)).astype(np.float32))
    return Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))


def brain_mask():
    mask = np.zeros((17, 18, 19), bool, order="F")
    mask[3:14, 4:15, 5:15] = True
    return mask


def write(top: Path, path: str, content: bytes) -> None:
    target = top / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
