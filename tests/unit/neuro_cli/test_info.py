import gzip

import nibabel
import numpy as np
import pytest


def test_info_tells_what_a_scan_is(run, scan_file):
    answer = run("info", scan_file)
    assert answer.exit_code == 0
    assert answer.err == ""
    lines = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert lines["shape"] == "7 x 8 x 9 voxels of 1.5 x 1 x 2 mm"
    assert lines["orientation"] == "LPS, space: scanner"
    assert lines["becomes"] == "11 x 8 x 18 voxels, RAS, resampled"
    assert lines["name"].startswith("BIDS; taken as T1w; derivatives are called `sub-01_...`")
    assert lines["verdict"] == "can be processed"


def test_info_as_json(run, scan_file):
    found = run("info", scan_file, "--json").json
    assert found["is_valid"] is True
    assert found["error"] is None
    assert found["header"]["shape"] == [7, 8, 9]
    assert found["header"]["voxel_size_mm"] == [1.5, 1.0, 2.0]
    assert found["conformed"] == {
        "source_orientation": "LPS",
        "orientation": "RAS",
        "shape": [11, 8, 18],
        "voxel_size_mm": [1.0, 1.0, 1.0],
        "is_resampled": True,
        "is_sheared": False,
    }
    assert 10 <= found["intensities"]["minimum"] < found["intensities"]["maximum"] <= 100
    assert 10**8 < found["memory"]["needed_bytes"] < found["memory"]["available_bytes"]


def test_info_asks_for_another_voxel_size(run, scan_file, monkeypatch):
    assert run("info", scan_file, "--voxel-size-mm", "0.5", "--json").json["conformed"]["shape"] == [21, 16, 36]
    monkeypatch.setenv("NEURO_VOXEL_SIZE_MM", "2")
    assert run("info", scan_file, "--json").json["conformed"]["shape"] == [6, 4, 9]


def test_info_warns_of_what_is_odd_and_says_nothing_of_what_the_text_is(run, tmp_path):
    image = nibabel.Nifti1Image(np.arange(504, dtype=np.int16).reshape(7, 8, 9), np.eye(4))
    image.header["descrip"] = b"Jane Doe"
    nibabel.save(image, tmp_path / "scan.nii")
    answer = run("info", tmp_path / "scan.nii")
    assert answer.exit_code == 0
    assert "(TEXT_DROPPED)" in answer.err
    assert "Jane" not in answer.out + answer.err


def test_info_sees_damage_behind_a_good_header(run, tmp_path, small_scan):
    path = tmp_path / "sub-01_T1w.nii.gz"
    path.write_bytes(small_scan[:-200])
    answer = run("info", path)
    assert answer.exit_code == 1
    assert "shape        7 x 8 x 9" in answer.out
    assert "verdict      refused: TRUNCATED" in answer.out
    assert "error: " in answer.err
    assert "hint: the file is incomplete" in answer.err
    header_only = run("info", path, "--header-only", "--json")
    assert header_only.exit_code == 0
    assert header_only.json["intensities"] is None


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "EMPTY"), (b"a text\n" * 100, "NOT_NIFTI"), (b"\0" * 1000, "NOT_NIFTI"), (gzip.compress(b""), "EMPTY")],
)
def test_info_on_a_broken_file_is_no_traceback(run, tmp_path, content, code):
    path = tmp_path / "a file.nii.gz"
    path.write_bytes(content)
    answer = run("info", path, "--json")
    assert answer.exit_code == 1
    assert answer.json["is_valid"] is False
    assert answer.json["error"]["code"] == code
    assert answer.json["header"] is None


def test_info_on_a_folder(run, tmp_path):
    error = run("info", tmp_path, "--json").json["error"]
    assert error["code"] == "UNREADABLE"
    assert "expected a regular file, got a folder" in error["message"]


def test_info_tells_that_memory_does_not_suffice(run, tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((256, 256, 256))
    header.set_zooms((5, 5, 5))
    header.set_sform(np.diag([5, 5, 5, 1]), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    path = tmp_path / "huge.nii"
    with path.open("wb") as file:
        file.write(header.binaryblock + b"\0" * 4)
        file.truncate(352 + 256**3 * 4)  # a hole: no disk is used
    answer = run("info", path, "--json")
    assert answer.exit_code == 1
    assert answer.json["error"]["code"] == "TOO_LARGE"
    assert answer.json["conformed"]["shape"] == [1280, 1280, 1280]


@pytest.mark.parametrize("size", ["0", "-1", "nan", "small"])
def test_wrong_voxel_size_is_a_usage_error(run, scan_file, size):
    answer = run("info", scan_file, "--voxel-size-mm", size)
    assert answer.exit_code == 2
    assert "--voxel-size-mm" in answer.err
