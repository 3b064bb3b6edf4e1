"""What the command line refuses before any work begins."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-n", "a/b"], "expected the name of a file"),
        (["-n", ".nii"], "expected the name of a file"),
        (["-n", "x.mgz", "-f", "analyze"], "is not the name of a file of format `analyze`"),
        (["-f", "dicom"], "'dicom' is not one of"),
        (["--brain-fraction", "1"], "expected a number between 0 and 1"),
        (["--normalization", "minmax"], "expected `zscore` or `white-matter`"),
    ],
)
def test_process_refuses_options_that_make_no_sense(run, scan_file, tmp_path, words, complaint):
    answer = run("process", scan_file, "-o", tmp_path / "out", *words)
    assert answer.exit_code == 2
    assert complaint in " ".join(answer.err.split())
    assert not (tmp_path / "out").exists()


def test_process_needs_an_output_folder(run, scan_file):
    answer = run("process", scan_file)
    assert answer.exit_code == 2
    assert "--output" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["info", "NONE"],
        ["process", "NONE", "-o", "out"],
        ["batch", "NONE", "-o", "out"],
        ["upload", "NONE"],
        ["replay", "NONE"],
    ],
)
def test_missing_path_is_a_usage_error(run, tmp_path, words):
    answer = run(*[tmp_path / "none" if word == "NONE" else word for word in words])
    assert answer.exit_code == 2
    assert "none' does not exist" in " ".join(answer.err.split())
    assert answer.out == ""


@pytest.fixture
def pipe(tmp_path):
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    path = tmp_path / "sub-01_T1w.nii.gz"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["info", "PIPE"],
        ["process", "PIPE", "-o", "out"],
        ["upload", "PIPE", "--endpoint-url", "http://127.0.0.1:1"],
    ],
)
def test_pipe_is_refused_and_not_waited_for(pipe, words):
    command = [sys.executable, "-m", "neuro_cli", *(str(pipe) if word == "PIPE" else word for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=pipe.parent, check=False)
    assert done.returncode == 1
    assert "expected a regular file" in done.stderr


@pytest.mark.parametrize("event", ["-", "s3://bucket/key.json"])
def test_event_that_is_no_path_need_not_exist(run, event, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    answer = run("replay", event)
    assert answer.exit_code == 1
    assert "no local service is up" in answer.err


def test_process_of_a_broken_file_as_json(run, tmp_path):
    path = tmp_path / "a scan.nii.gz"
    path.write_bytes(b"no scan")
    answer = run("process", path, "-o", tmp_path / "out", "--json")
    assert answer.exit_code == 1
    assert answer.json["outcome"] == "failed"
    assert answer.json["error"]["code"] == "NOT_NIFTI"
    assert answer.json["outputs"] == []
    assert not (tmp_path / "out").exists()


def test_process_writes_no_derivatives_into_raw_data(run, dataset):
    answer = run("process", dataset / "sub-01/anat/sub-01_T1w.nii.gz", "-o", dataset)
    assert answer.exit_code == 1
    assert "is a BIDS dataset of type `raw`" in answer.err


def test_process_refuses_a_scan_that_memory_does_not_suffice_for(run, tmp_path, scan_file):
    answer = run("process", scan_file, "-o", tmp_path / "out", "--voxel-size-mm", "0.01")
    assert answer.exit_code == 1
    assert "(TOO_LARGE)" in answer.err
    assert "larger voxels" in answer.err


def test_batch_of_a_folder_without_scans_fails(run, tmp_path):
    answer = run("batch", tmp_path, "-o", tmp_path / "out")
    assert answer.exit_code == 1
    assert "no scan in" in answer.err
    assert "--pattern" in answer.err


def test_batch_tells_why_a_dataset_s_other_files_are_left_out(run, dataset, tmp_path):
    answer = run("batch", dataset, "-o", tmp_path / "out", "-p", "*_bold.nii.gz")
    assert answer.exit_code == 1
    assert "1 matching files of this BIDS dataset are no T1w or T2w scans" in answer.err


def test_batch_of_a_folder_with_nothing_but_its_own_results_says_so(run, tmp_path):
    for desc in ("brain", "preproc"):
        (tmp_path / f"sub-01_desc-{desc}_T1w.nii.gz").touch()
    answer = run("batch", tmp_path, "-o", tmp_path)
    assert answer.exit_code == 1
    assert "hint: 2 files of the output folder are left out: `_desc-` in its name" in answer.err


def test_batch_of_broken_files_only(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.nii", "a b.nii.gz"):
        (folder / name).write_bytes(b"no scan")
    answer = run("batch", folder, "-o", tmp_path / "out", "--json")
    assert answer.exit_code == 1
    assert (answer.json["total"], answer.json["failed"]) == (2, 2)
    assert [file["key"] for file in answer.json["files"]] == ["a b.nii.gz", "b.nii"]


def test_batch_lets_no_scan_overwrite_another_s_derivatives(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("sub-01_T1w.nii", "sub-01_T1w.nii.gz"):
        (folder / name).write_bytes(b"no scan")
    answer = run("batch", folder, "-o", tmp_path / "out", "--json")
    assert [file["error"]["code"] for file in answer.json["files"]] == ["NOT_NIFTI", "SAME_NAME"]


def test_batch_table_names_each_failure(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "[red]x.nii").write_bytes(b"no scan")
    answer = run("batch", folder, "-o", tmp_path / "out")
    assert answer.exit_code == 1
    assert "[red]x.nii" in answer.out
    assert "`[red]x.nii`: " in answer.err
    assert "1 scan in" in answer.out


@pytest.mark.parametrize("words", [["status", "x"], ["upload", "SCAN"], ["replay", "SCAN"]])
def test_without_service_and_aws_one_line_says_what_to_do(run, scan_file, words, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    answer = run(*[scan_file if word == "SCAN" else word for word in words])
    assert answer.exit_code == 1
    assert "no local service is up" in answer.err
    assert "neuro-preprocess local up" in answer.err


@pytest.mark.parametrize("pair", ["premium", "=premium", " =x"])
def test_baggage_is_a_pair(run, scan_file, pair):
    answer = run("upload", scan_file, "--baggage", pair)
    assert answer.exit_code == 2
    assert "expected `KEY=VALUE`" in answer.err


def test_local_up_without_layers_says_how_to_build_them(run, tmp_path):
    (tmp_path / "template.yaml").touch()
    answer = run("local", "up", "--project", tmp_path)
    assert answer.exit_code == 1
    assert "make layers" in answer.err


def test_process_tells_that_it_cannot_write(run, scan_file):
    closed = "/proc/self/closed"  # where not even root may
    answer = run("process", scan_file, "-o", closed, "--no-skull-strip", "--no-bias-correction")
    assert "(UNWRITABLE)" in answer.err
    assert f"the output folder is `{closed}`" in answer.err
