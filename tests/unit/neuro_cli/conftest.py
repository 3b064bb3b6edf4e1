"""A command line to call, small scans to call it on, and no one's real home."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from neuro_cli.main import main
from neuro_preprocess.image import Image
from neuro_preprocess.nifti import encode_nifti


@dataclass
class Answer:
    """What a command said and how it ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run():
    def call(*words: object, text: str | None = None) -> Answer:
        result = CliRunner().invoke(main, [str(word) for word in words], input=text, catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture(autouse=True)
def _own_state_folder(tmp_path_factory, monkeypatch):
    """No command finds a service that runs on this machine by accident."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def small_scan() -> bytes:
    """A valid file of unequal sides, LPS, anisotropic, with a positive signal everywhere: no head."""
    voxels = np.random.default_rng(0).uniform(10, 100, (7, 8, 9)).astype(np.float32, order="F")
    affine = np.diag([-1.5, -1.0, 2.0, 1.0])
    affine[:3, 3] = 3, 4, 5
    return encode_nifti(Image(voxels, affine))


@pytest.fixture
def scan_file(tmp_path, small_scan) -> Path:
    path = tmp_path / "sub-01_T1w.nii.gz"
    path.write_bytes(small_scan)
    return path


@pytest.fixture
def dataset(tmp_path, small_scan) -> Path:
    """A raw BIDS dataset of two T1w scans, a functional series, a sidecar, and derivatives of before."""
    root = tmp_path / "my dataset"
    for path in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
        "sub-02/ses-1/func/sub-02_ses-1_task-rest_bold.nii.gz",
        "derivatives/other/sub-01/anat/sub-01_desc-brain_T1w.nii.gz",
        "sub-01/anat/._sub-01_T1w.nii.gz",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(small_scan)
    (root / "sub-01/anat/sub-01_T1w.json").write_text("{}")
    (root / "dataset_description.json").write_text('{"Name": "ours", "BIDSVersion": "1.11.1"}')
    return root
