"""`process` and `batch`: the science, the files, the exit codes."""

import gzip
import json
from collections import Counter

import nibabel
import numpy as np
import pytest

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
RAW, WORK, DERIVATIVES = "imaging-raw", "imaging-work", "imaging-derivatives"
ANAT = "sub-01/anat/sub-01_desc"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out") / "derivatives"


@pytest.fixture(scope="module")
def processed(dataset, out):
    from click.testing import CliRunner

    from neuro_cli.main import main

    result = CliRunner().invoke(main, ["process", str(dataset / KEY), "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_process_finds_a_brain(processed, out):
    assert processed["outcome"] == "ok"
    assert 1000 < processed["brain_volume_ml"] < 1700
    assert processed["qc"]["verdict"] in ("pass", "warn")
    brain = nibabel.load(out / f"{ANAT}-brain_T1w.nii.gz").get_fdata()
    mask = nibabel.load(out / f"{ANAT}-brain_mask.nii.gz").get_fdata() > 0
    assert brain[mask].mean() == pytest.approx(0, abs=1e-4)
    assert brain[mask].std() == pytest.approx(1, abs=1e-4)
    assert not brain[~mask].any()


def test_process_names_its_outputs_and_times_its_steps(processed, out):
    written = {path for path in map(str, out.rglob("*")) if "." in path.rpartition("/")[2]}
    assert {path for path in processed["outputs"] if "README" not in path} == written
    steps = ["read", "conform", "skull_strip", "bias_correct", "normalize", "report", "write"]
    assert list(processed["seconds"]) == steps
    assert processed["total_seconds"] == pytest.approx(sum(processed["seconds"].values()), abs=0.01)


def test_derivatives_are_those_of_the_functions(processed, out, cloud, head):
    """The same bytes, whichever way a scan takes: only times, and what names the run, differ."""
    cloud.client.put_object(Bucket=RAW, Key=KEY, Body=head)
    cloud.process(KEY)
    local = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert set(cloud.listed(DERIVATIVES)) == set(local)
    for key, content in local.items():
        theirs = cloud.get(DERIVATIVES, key)
        if key.endswith("qc_T1w.json"):
            ours, theirs = json.loads(content), json.loads(theirs)
            for report in (ours, theirs):
                del report["StageSeconds"], report["Provenance"]
            assert ours == theirs
        elif not key.endswith(".html") and key != "dataset_description.json":
            assert content == theirs, key


def test_process_prints_the_report_s_path(run, dataset, tmp_path):
    answer = run("process", dataset / KEY, "-o", tmp_path, "--no-skull-strip", "--no-bias-correction")
    assert answer.exit_code == 0
    first, *_, last = answer.out.splitlines()
    assert first.startswith(f"{KEY}: brain ")
    assert last == str(tmp_path / "sub-01/figures/sub-01_desc-qc_T1w.html")


def test_stripped_scan_is_taken_as_it_is(run, tmp_path, processed, out):
    stripped = tmp_path / "stripped.nii.gz"
    brain = nibabel.load(out / f"{ANAT}-brain_T1w.nii.gz")
    mask = nibabel.load(out / f"{ANAT}-brain_mask.nii.gz").get_fdata() > 0
    data = np.where(mask, brain.get_fdata() + 10, 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, brain.affine), stripped)
    options = ("--no-skull-strip", "--no-bias-correction", "--no-normalization")
    answer = run("process", stripped, "-o", tmp_path, "-n", "same.mgz", "--no-metadata", "--json", *options)
    assert answer.exit_code == 0
    assert answer.json["outputs"] == [str(tmp_path / "same.mgz")]
    assert "NOT_STRIPPED" not in [notice["code"] for notice in answer.json["notices"]]
    np.testing.assert_array_equal(nibabel.load(tmp_path / "same.mgz").get_fdata(), data)


def test_whole_head_without_skull_strip_gets_a_warning(run, dataset, tmp_path):
    answer = run("process", dataset / KEY, "-o", tmp_path, "--no-skull-strip", "--no-bias-correction")
    assert answer.exit_code == 0
    assert "(NOT_STRIPPED)" in answer.err
    assert (tmp_path / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").is_file()
    assert not (tmp_path / "sub-01/anat/sub-01_desc-brain_mask.nii.gz").exists()


def test_t2w_scan_cannot_be_normalised_by_white_matter(run, head, tmp_path):
    path = tmp_path / "sub-01_T2w.nii.gz"
    path.write_bytes(head)
    options = ("--normalization", "white-matter", "--no-skull-strip", "--no-bias-correction")
    answer = run("process", path, "-o", tmp_path / "out", *options)
    assert answer.exit_code == 1
    assert "(NOT_APPLICABLE)" in answer.err
    assert not (tmp_path / "out").exists()


def test_process_tells_that_it_cannot_write(run, dataset, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub-01").write_text("in the way")
    answer = run("process", dataset / KEY, "-o", tmp_path / "out", "--no-skull-strip", "--no-bias-correction")
    assert answer.exit_code == 1
    assert "(UNWRITABLE)" in answer.err


def test_no_validate_lifts_the_limits_and_nothing_else(run, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("neuro_cli.inprocess.chain.available_memory_bytes", lambda: 10**6)
    options = ("--no-skull-strip", "--no-bias-correction", "--json")
    refused = run("process", dataset / KEY, "-o", tmp_path, *options)
    assert refused.json["error"]["code"] == "TOO_LARGE"
    assert run("process", dataset / KEY, "-o", tmp_path, "--no-validate", *options).exit_code == 0
    broken = run("process", dataset / "sub-02/anat/sub-02_T1w.nii.gz", "-o", tmp_path, "--no-validate", "--json")
    assert broken.json["error"]["code"] == "NOT_NIFTI"


@pytest.mark.parametrize("jobs", [1, 2])
def test_batch_goes_on_after_a_broken_scan(run, dataset, tmp_path, jobs, processed, out):
    answer = run("batch", dataset, "-o", tmp_path, "--jobs", jobs, "--json")
    assert answer.exit_code == 1
    assert Counter(file["outcome"] for file in answer.json["files"]) == {"ok": 1, "failed": 1}
    same = "sub-01/anat/sub-01_desc-brain_T1w.nii.gz"
    assert (tmp_path / same).read_bytes() == (out / same).read_bytes()


def test_batch_into_its_own_folder_does_not_take_its_results_for_scans(run, head, tmp_path):
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(head)
    words = ("batch", tmp_path, "-o", tmp_path, "-f", "nifti", "--no-skull-strip", "--no-bias-correction", "--json")
    once, again = run(*words), run(*words)
    for answer, left_out in ((once, 0), (again, 1)):
        assert answer.exit_code == 0
        assert [file["key"] for file in answer.json["files"]] == ["sub-01_T1w.nii.gz"]
        assert answer.json["left_out"] == left_out
    assert "warning" not in once.err
    assert "1 file of the output folder is left out: `_desc-` in its name" in " ".join(again.err.split())


def test_batch_prints_a_table(run, dataset, tmp_path):
    answer = run("batch", dataset, "-o", tmp_path, "--no-bias-correction", "--no-progress")
    header, good, broken, total = answer.out.splitlines()
    assert header.split() == ["scan", "time", "brain", "quality"]
    assert good.split()[0] == KEY
    assert good.split()[-1] in ("pass", "warn")
    assert broken.split()[-1] == "failed"
    assert total.startswith("2 scans in ")
    assert total.endswith(f"1 failed: {tmp_path}")


def test_plain_files_are_read_by_content(run, head, tmp_path):
    path = tmp_path / "sub-01_T1w.nii.gz"
    path.write_bytes(gzip.decompress(head))
    answer = run("process", path, "-o", tmp_path / "out", "--no-skull-strip", "--no-bias-correction", "--json")
    assert answer.exit_code == 0
    assert "NAME_MISMATCH" in [notice["code"] for notice in answer.json["notices"]]
