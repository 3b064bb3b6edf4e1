"""`status`: what the buckets say of a scan."""

import importlib
import json
from types import SimpleNamespace

import pytest

from neuro_cli.deployed.replaying import load_event
from neuro_cli.deployed.run_search import find_status
from neuro_cli.deployed.target import Target, find_target
from pipeline.events import REPLAY_FIELD

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
RAW, WORK, DERIVATIVES = "imaging-raw", "imaging-work", "imaging-derivatives"


@pytest.fixture(scope="module")
def put(cloud, head):
    """Put a scan into the raw bucket: a head, unless a test says what."""

    def store(key, content=None, bucket=RAW):
        return cloud.client.put_object(Bucket=bucket, Key=key, Body=head if content is None else content)

    return store


@pytest.fixture(scope="module")
def done(cloud, put):
    """Id of a run that is done."""
    put(KEY)
    return cloud.process(KEY)


@pytest.fixture
def status(run, cloud, monkeypatch):
    """Ask for a scan of the `imaging` pipeline."""

    def ask(scan, *words):
        return run("status", scan, "--endpoint-url", cloud.options[1], "--bucket", RAW, *words)

    return ask


@pytest.mark.parametrize("word", ["key", "name", "uri", "run id", "file"])
def test_done_scan_is_found_by_any_of_its_names(status, done, dataset, word):
    words = {
        "key": KEY,
        "name": "sub-01_T1w.nii.gz",
        "uri": f"s3://{RAW}/{KEY}",
        "run id": done,
        "file": str(dataset / KEY),
    }
    answer = status(words[word], "--json")
    assert answer.exit_code == 0
    assert (answer.json["run_id"], answer.json["outcome"], answer.json["key"]) == (done, "done", KEY)


def test_done_scan_has_its_figures(status, done):
    found = status(done, "--json").json
    assert set(found["seconds"]) == {"conform", "skull_strip", "bias_correct", "normalize", "report"}
    assert found["total_seconds"] == pytest.approx(sum(found["seconds"].values()), abs=0.01)
    assert 1000 < found["brain_volume_ml"] < 1700
    assert found["qc"]["verdict"] in ("pass", "warn")
    assert found["report"] == f"s3://{DERIVATIVES}/sub-01/figures/sub-01_desc-qc_T1w.html"
    assert found["error"] is None


def test_done_scan_in_words(status, done):
    answer = status(done)
    first, stages, run_line, report = answer.out.splitlines()
    assert first.startswith(f"{KEY}: done, quality: ")
    assert stages.split()[0] == "conform"
    assert run_line == f"  run {done}"
    assert report.endswith(".html")
    assert answer.err == ""


def test_scan_on_its_way(status, cloud, put):
    put("sub-02_T1w.nii.gz")
    before = status("sub-02_T1w.nii.gz", "--json")
    assert (before.exit_code, before.json["outcome"], before.json["stage"]) == (0, "unknown", None)
    cloud.process("sub-02_T1w.nii.gz", last="conform")
    after = status("sub-02_T1w.nii.gz", "--json")
    assert (after.exit_code, after.json["outcome"], after.json["stage"]) == (0, "running", "conform")
    assert "on its way after conform" in status("sub-02_T1w.nii.gz").out


def test_refused_scan(status, cloud, put):
    put("sub-03/anat/sub-03_T1w.nii.gz", b"no scan")
    run_id = cloud.process("sub-03/anat/sub-03_T1w.nii.gz", last="conform")
    answer = status("sub-03_T1w.nii.gz")
    assert answer.exit_code == 1
    assert "refused in conform" in answer.out
    assert f"(NOT_NIFTI, s3://{DERIVATIVES}/errors/{run_id}.error.json)" in answer.err
    assert "hint: convert it to NIfTI" in answer.err


def test_newest_upload_counts_though_an_older_one_has_derivatives(status, cloud, put):
    put("sub-04_T1w.nii.gz")
    older = cloud.process("sub-04_T1w.nii.gz")
    put("sub-04_T1w.nii.gz", b"no scan")
    newer = cloud.process("sub-04_T1w.nii.gz", last="conform")
    found = status("sub-04_T1w.nii.gz", "--json").json
    assert (found["run_id"], found["outcome"]) == (newer, "rejected")
    assert status(older, "--json").json["outcome"] == "done"
    put("sub-04_T1w.nii.gz")
    assert status("sub-04_T1w.nii.gz", "--json").json["outcome"] == "unknown"


def test_replay_of_the_newest_upload_counts(status, cloud, put):
    put("sub-08_T1w.nii.gz")
    cloud.process("sub-08_T1w.nii.gz", last="skull_strip")
    event = cloud.notification("sub-08_T1w.nii.gz") | {REPLAY_FIELD: "2026-11-25T00:00:00+00:00"}
    replayed = cloud.process_event(event)
    found = status("sub-08_T1w.nii.gz", "--json").json
    assert (found["run_id"], found["outcome"]) == (replayed, "done")


def test_failed_scan_tells_how_to_try_again(status, cloud, put, sample_event):
    put("sub-05/anat/sub-05_T1w.nii.gz")
    event = cloud.notification("sub-05/anat/sub-05_T1w.nii.gz")
    message = sample_event("sqs-failure")
    body = json.loads(message["Records"][0]["body"])
    message["Records"][0]["body"] = json.dumps(body | {"requestPayload": event})
    importlib.import_module("failure.app").handler(message, SimpleNamespace(aws_request_id="1"))

    answer = status("sub-05/anat/sub-05_T1w.nii.gz", "--json")
    assert answer.exit_code == 1
    assert (answer.json["outcome"], answer.json["stage"]) == ("failed", "conform")
    assert answer.json["error"]["code"] == "TransientError"
    uri = answer.json["error"]["file"]
    assert answer.json["error"]["hint"].endswith(f"neuro-preprocess replay {uri}")
    target = find_target(is_aws=False, stack_name="", endpoint_url=cloud.options[1], bucket=RAW)
    assert load_event(target, uri) == event


def test_scan_whose_records_have_expired_is_known_from_its_derivatives(status, cloud, put):
    put("sub-06_T1w.nii.gz")
    run_id = cloud.process("sub-06_T1w.nii.gz")
    kept = status(run_id, "--json").json
    for key in cloud.listed(WORK):
        if run_id in key:
            cloud.client.delete_object(Bucket=WORK, Key=key)
    found = status("sub-06_T1w.nii.gz", "--json").json
    assert found["outcome"] == "done"
    assert found["qc"] == kept["qc"]
    assert found["brain_volume_ml"] == pytest.approx(kept["brain_volume_ml"], rel=1e-4)


@pytest.fixture(scope="module")
def plain(cloud):
    """The same pipeline on a raw bucket without versions."""
    cloud.client.create_bucket(Bucket="plain")
    return Target("test", "plain", WORK, DERIVATIVES, endpoint_url=cloud.options[1])


def test_scan_in_a_bucket_without_versions_is_found_by_its_records(cloud, plain, put):
    put("sub-07_T1w.nii.gz", bucket="plain")
    run_id = cloud.process("sub-07_T1w.nii.gz", last="conform", bucket="plain")
    found = find_status(plain, "sub-07_T1w.nii.gz")
    assert (found.run_id, found.outcome) == (run_id, "running")


def test_refused_scan_in_a_bucket_without_versions_is_found_by_its_error_file(cloud, plain, put):
    put("Jane Doe.nii", b"no scan", bucket="plain")
    run_id = cloud.process("Jane Doe.nii", last="conform", bucket="plain")
    found = find_status(plain, "Jane Doe.nii")
    assert (found.run_id, found.outcome) == (run_id, "rejected")


def test_scan_that_nobody_uploaded(status, cloud):
    answer = status("sub-99_T1w.nii.gz")
    assert answer.exit_code == 1
    assert f"expected a scan in `s3://{RAW}`" in answer.err
    assert status("0" * 24, "--json").json["outcome"] == "unknown"


def test_other_bucket_is_told(run, cloud):
    answer = run("status", "x", "--endpoint-url", cloud.options[1], "--bucket", "nobody-s-raw")
    assert answer.exit_code == 1
    assert "NoSuchBucket" in answer.err
