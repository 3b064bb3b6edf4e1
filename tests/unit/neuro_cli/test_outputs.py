import errno
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from neuro_cli.errors import CliError
from neuro_cli.inprocess.outputs import Destination, OutputError, check_folder, write_file
from neuro_cli.inprocess.preprocessed import ChainOptions, Preprocessed
from neuro_preprocess.bids import BidsName
from neuro_preprocess.derivatives import DerivedFile
from neuro_preprocess.image import Image
from neuro_preprocess.normalize import normalize
from neuro_preprocess.quality import measure_quality
from neuro_preprocess.quality.verdict import judge

ANAT = "sub-01/anat/sub-01_desc"
RAW_FILES = {"dataset_description.json", "README", ".bidsignore"}


@pytest.fixture
def made():
    """What the chain leaves of a small volume, with the steps that a test asks for."""

    def build(key="sub-01/anat/sub-01_T1w.nii.gz", **options):
        scan = Preprocessed(BidsName.parse(key), ChainOptions(**options))
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        data = np.random.default_rng(2).uniform(50, 100, (7, 8, 9)).astype(np.float32, order="F")
        scan.mask = np.zeros(data.shape, bool, order="F")
        scan.mask[2:5, 2:6, 2:7] = True
        scan.conformed = scan.corrected = Image(data, affine)
        if scan.options.normalizes:
            normalized = normalize(data, scan.mask)
            scan.volume, scan.parameters = Image(normalized.volume, affine), normalized.parameters
        else:
            scan.volume = Image(np.where(scan.mask, data, np.float32(0)), affine)
        scan.measures = measure_quality(data, data, scan.mask, (1, 1, 1))
        scan.verdict = judge(scan.measures, (), ())
        scan.picture = np.zeros((4, 4, 3), np.uint8)
        scan.facts = {"conform": {"shape": data.shape}}
        return scan

    return build


def written(destination, scan):
    for file in destination.files(scan, {"conform": 1.0}, ".."):
        write_file(destination.folder, file)
    return {path.relative_to(destination.folder).as_posix() for path in destination.folder.rglob("*") if path.is_file()}


def sidecar(folder, path):
    return json.loads((folder / path).read_text())


def test_whole_chain_makes_a_derivative_dataset(made, tmp_path):
    names = written(Destination(tmp_path), made())
    assert names == RAW_FILES | {
        f"{ANAT}-brain_T1w.nii.gz",
        f"{ANAT}-brain_T1w.json",
        f"{ANAT}-brain_mask.nii.gz",
        f"{ANAT}-brain_mask.json",
        "sub-01/figures/sub-01_desc-qc_T1w.png",
        "sub-01/figures/sub-01_desc-qc_T1w.json",
        "sub-01/figures/sub-01_desc-qc_T1w.html",
    }
    assert sidecar(tmp_path, "dataset_description.json")["DatasetLinks"] == {"raw": ".."}


def test_brain_is_written_last(made, tmp_path):
    assert list(Destination(tmp_path).files(made(), {}, ".."))[-1].path == f"{ANAT}-brain_T1w.nii.gz"


def test_head_is_written_when_asked_for(made, tmp_path):
    names = written(Destination(tmp_path, has_head=True), made(corrects_bias=False))
    assert {f"{ANAT}-preproc_T1w.nii.gz", f"{ANAT}-preproc_T1w.json"} <= names
    assert "bias" not in sidecar(tmp_path, f"{ANAT}-preproc_T1w.json")["Description"]


def test_without_compression_names_and_sources_agree(made, tmp_path):
    names = written(Destination(tmp_path, is_compressed=False), made())
    assert {f"{ANAT}-brain_T1w.nii", f"{ANAT}-brain_mask.nii"} <= names
    assert not any(name.endswith(".gz") for name in names)
    sources = sidecar(tmp_path, f"{ANAT}-brain_T1w.json")["Sources"]
    assert sources == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz", f"bids::{ANAT}-brain_mask.nii"]
    packed = tmp_path / "packed"
    written(Destination(packed), made())
    np.testing.assert_array_equal(
        nibabel.load(tmp_path / f"{ANAT}-brain_T1w.nii").dataobj,
        nibabel.load(packed / f"{ANAT}-brain_T1w.nii.gz").dataobj,
    )


def test_without_metadata_there_is_no_json(made, tmp_path):
    names = written(Destination(tmp_path, has_metadata=False), made())
    assert f"{ANAT}-brain_T1w.nii.gz" in names
    assert not any(name.endswith(".json") for name in names)


def test_unnormalised_brain_keeps_its_intensities_and_says_so(made, tmp_path):
    scan = made(normalizes=False)
    written(Destination(tmp_path), scan)
    fields = sidecar(tmp_path, f"{ANAT}-brain_T1w.json")
    assert fields["Description"] == "Brain; conformed, bias-corrected"
    assert "IntensityNormalization" not in fields
    assert fields["SkullStripped"] is True
    back = nibabel.load(tmp_path / f"{ANAT}-brain_T1w.nii.gz")
    np.testing.assert_array_equal(back.get_fdata(), scan.volume.data)
    assert float(back.header["cal_max"]) == 0  # no window of another scale is proposed to viewers


def test_uncorrected_brain_says_so(made, tmp_path):
    written(Destination(tmp_path), made(corrects_bias=False))
    fields = sidecar(tmp_path, f"{ANAT}-brain_T1w.json")
    assert fields["Description"] == "Brain; conformed, normalised (zscore)"
    assert fields["IntensityNormalization"]["method"] == "zscore"


def test_scan_whose_brain_was_not_looked_for_is_not_called_a_brain(made, tmp_path):
    names = written(Destination(tmp_path, has_head=True), made(strips_skull=False))
    assert {name for name in names if "/anat/" in name} == {f"{ANAT}-preproc_T1w.nii.gz", f"{ANAT}-preproc_T1w.json"}
    fields = sidecar(tmp_path, f"{ANAT}-preproc_T1w.json")
    assert fields["SkullStripped"] is False
    assert fields["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]


@pytest.mark.parametrize(
    ("format_name", "files"),
    [
        ("nifti", {"mine.nii.gz", "mine.json"}),
        ("mgz", {"mine.mgz", "mine.json"}),
        ("analyze", {"mine.img", "mine.hdr", "mine.json"}),
    ],
)
def test_named_volume_is_one_volume_and_its_sidecar(made, tmp_path, format_name, files):
    assert written(Destination(tmp_path, "mine", format_name), made()) == files
    assert ("NotInThisFormat" in sidecar(tmp_path, "mine.json")) == (format_name != "nifti")


def test_format_alone_gives_the_volume_its_bids_name(made, tmp_path):
    names = written(Destination(tmp_path, format="mgz", is_compressed=False, has_metadata=False), made())
    assert names == {"sub-01_desc-brain_T1w.mgh"}


def test_name_that_may_be_a_patient_s_is_nowhere_in_the_outputs(made, tmp_path):
    written(Destination(tmp_path), made("Jane Doe.nii"))
    for path in tmp_path.rglob("*"):
        assert "Jane" not in path.name
        if path.is_file():
            assert b"Jane" not in path.read_bytes()


def test_file_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "x").write_text("before")
    with (tmp_path / "x").open() as whoever_reads_it:
        write_file(tmp_path, DerivedFile("x", b"after", ""))
        assert whoever_reads_it.read() == "before"
    assert (tmp_path / "x").read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "sub-01").touch()
    with pytest.raises(OutputError, match=r"cannot write `sub-01/anat/x` into the output folder: ") as caught:
        write_file(tmp_path, DerivedFile("sub-01/anat/x", b"", ""))
    assert caught.value.code == "UNWRITABLE"


def test_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("before")

    def refuse(self, _):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OutputError, match="no space left on device"):
        write_file(tmp_path, DerivedFile("x", b"after", ""))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "before"


def test_raw_dataset_is_no_place_for_derivatives(dataset):
    with pytest.raises(CliError, match="is a BIDS dataset of type `raw`") as caught:
        check_folder(Destination(dataset))
    assert str(dataset / "derivatives" / "neuro-preprocess") in caught.value.hint


def test_one_volume_may_be_written_anywhere(dataset):
    check_folder(Destination(dataset, "mine", "mgz"))


def test_derivative_dataset_may_be_added_to(made, tmp_path):
    written(Destination(tmp_path), made())
    check_folder(Destination(tmp_path))


def test_garbled_description_is_told(tmp_path):
    (tmp_path / "dataset_description.json").write_text("[")
    with pytest.raises(CliError, match="cannot be read as JSON"):
        check_folder(Destination(tmp_path))
