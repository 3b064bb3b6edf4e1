"""`upload`: keys, versions, and what travels with a scan."""

import subprocess
import sys

from lambda_local.s3_faults import SLOW_DOWN
from neuro_cli.deployed.target import find_target
from neuro_cli.deployed.uploading import Uploaded
from neuro_cli.deployed.waiting import wait_for_ends
from pipeline.keys import output_key

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
RAW, WORK, DERIVATIVES = "imaging-raw", "imaging-work", "imaging-derivatives"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def metadata(cloud, key):
    return cloud.client.head_object(Bucket=RAW, Key=key)["Metadata"]


def test_dataset_keeps_its_paths(run, cloud, dataset):
    answer = run("upload", dataset, *cloud.options)
    assert answer.exit_code == 0
    assert answer.out.splitlines() == [f"s3://{RAW}/{KEY}", f"s3://{RAW}/sub-02/anat/sub-02_T1w.nii.gz"]
    assert cloud.get(RAW, KEY) == (dataset / KEY).read_bytes()


def test_prefix_comes_before_the_key(run, cloud, dataset):
    answer = run("upload", dataset / KEY, "--prefix", "site a/", *cloud.options)
    assert answer.out == f"s3://{RAW}/site a/{KEY}\n"
    assert f"site a/{KEY}" in cloud.listed(RAW)


def test_file_that_is_not_bids_keeps_its_name(run, cloud, tmp_path):
    path = tmp_path / "größe+1 x.nii"
    path.write_bytes(b"any file")
    run("upload", path, *cloud.options)
    assert cloud.get(RAW, "größe+1 x.nii") == b"any file"


def test_run_is_known_from_the_version(run, cloud, dataset):
    (item,) = run("upload", dataset / KEY, "--json", *cloud.options).json
    assert item["version_id"] == cloud.client.head_object(Bucket=RAW, Key=KEY)["VersionId"]
    assert item["run_id"] == cloud.process(KEY, last="conform")


def test_same_file_again_is_a_new_run(run, cloud, dataset):
    once, again = (run("upload", dataset / KEY, "--json", *cloud.options).json[0]["run_id"] for _ in range(2))
    assert once != again


def test_trace_and_baggage_travel_in_the_metadata(run, cloud, dataset, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", TRACEPARENT)
    monkeypatch.setenv("BAGGAGE", "site=a")
    run("upload", dataset / KEY, "--baggage", "user.tier=premium", "--baggage", "note=a b,c", *cloud.options)
    carried = metadata(cloud, KEY)
    assert carried["traceparent"].split("-")[1] == TRACEPARENT.split("-")[1]
    assert sorted(carried["baggage"].split(",")) == ["note=a+b%2Cc", "site=a", "user.tier=premium"]


def test_nothing_travels_where_there_is_nothing(cloud, dataset):
    # a process of its own: in this one other tests have set up an SDK
    command = [sys.executable, "-m", "neuro_cli", "upload", dataset / KEY, *cloud.options]
    subprocess.run(command, check=True, capture_output=True)
    assert metadata(cloud, KEY) == {}


def test_span_of_the_upload_is_what_the_processing_continues(observed, cloud, dataset):
    seen = observed("upload", dataset / KEY, *cloud.options, env={"TRACEPARENT": TRACEPARENT})
    (span,) = [span for span in seen["spans"] if span["name"] == "upload_file"]
    assert metadata(cloud, KEY)["traceparent"] == f"00-{span['trace_id']}-{span['span_id']}-01"
    assert span["trace_id"] == TRACEPARENT.split("-")[1]
    assert span["attributes"]["file_path"] == KEY


def test_too_much_baggage_is_refused_before_it_is_sent(run, cloud, tmp_path):
    path = tmp_path / "never.nii"
    path.write_bytes(b"x")
    answer = run("upload", path, "--baggage", f"note={'x' * 1800}", *cloud.options)
    assert answer.exit_code == 1
    assert "expected at most 1800 bytes" in answer.err
    assert "2048 bytes of metadata, and the functions add their own" in answer.err
    assert "never.nii" not in cloud.listed(RAW)


def test_as_much_baggage_as_is_taken_goes_all_the_way(run, cloud, dataset):
    entries = [f"note{number}={'x' * 205}" for number in range(8)]  # 1702 bytes, and the trace's
    options = [word for entry in entries for word in ("--baggage", entry)]
    assert run("upload", dataset / KEY, *options, *cloud.options).exit_code == 0
    run_id = cloud.process(KEY, last="normalize")
    carried = cloud.client.head_object(Bucket=WORK, Key=output_key("normalize", run_id))["Metadata"]
    assert sorted(carried["baggage"].split(",")) == entries


def test_large_file_goes_in_parts(run, cloud, tmp_path):
    path = tmp_path / "large.nii"
    path.write_bytes(bytes(9_000_000))
    (item,) = run("upload", path, "--json", *cloud.options).json
    head = cloud.client.head_object(Bucket=RAW, Key="large.nii")
    assert (head["ContentLength"], head["VersionId"]) == (9_000_000, item["version_id"])
    assert head["ETag"].rstrip('"').endswith("-2")


def test_bucket_that_is_not_there_is_told(run, cloud, dataset):
    answer = run("upload", dataset / KEY, *cloud.options[:2], "--bucket", "nobody-s")
    assert answer.exit_code == 1
    assert "NoSuchBucket" in answer.err
    assert answer.out == ""


def test_silent_endpoint_is_told(run, dataset):
    answer = run("upload", dataset / KEY, "--endpoint-url", "http://127.0.0.1:1", "--bucket", RAW)
    assert answer.exit_code == 1
    assert "http://127.0.0.1:1" in answer.err


def test_folder_without_scans_is_told(run, cloud, tmp_path):
    answer = run("upload", tmp_path, *cloud.options)
    assert answer.exit_code == 1
    assert "no scan matches `*.nii*`" in answer.err


def test_waiting_ends_with_the_last_scan(run, cloud, dataset):
    target = find_target(is_aws=False, stack_name="", endpoint_url=cloud.options[1], bucket=RAW)
    items = run("upload", dataset, "--json", *cloud.options).json
    uploaded = [Uploaded(item["file"], RAW, item["key"], item["version_id"]) for item in items]
    todo = [item.key for item in uploaded]
    statuses = list(wait_for_ends(target, uploaded, 60, _quiet(), pause=lambda _: _process_next(cloud, todo)))
    assert {status.key: status.outcome for status in statuses} == {KEY: "done", items[1]["key"]: "rejected"}


def test_waiting_gives_up_in_time(run, cloud, dataset):
    answer = run("upload", dataset / KEY, "--wait", "--timeout", "0", *cloud.options)
    assert answer.exit_code == 1
    assert "1 scan did not come to an end in 0 s" in answer.err
    assert f"neuro-preprocess status {KEY}" in answer.err


def test_waiting_needs_versions(run, cloud, dataset):
    cloud.client.create_bucket(Bucket="plain-raw")
    answer = run("upload", dataset / KEY, "--wait", *cloud.options[:2], "--bucket", "plain-raw")
    assert answer.exit_code == 1
    assert "its bucket has no versions" in answer.err
    assert answer.out == f"s3://plain-raw/{KEY}\n"


def _quiet():
    from rich.console import Console

    return Console(quiet=True)


def _process_next(cloud, todo):
    key = todo.pop()
    cloud.process(key, last="report" if key == KEY else "conform")


def test_waiting_bears_a_moment_without_an_answer(run, cloud, dataset):
    (item,) = run("upload", dataset / KEY, "--json", *cloud.options).json
    uploaded = Uploaded(item["file"], RAW, KEY, item["version_id"])
    target = find_target(is_aws=False, stack_name="", endpoint_url=cloud.options[1], bucket=RAW)
    # As often as one call tries.
    fault = cloud.faults.add(SLOW_DOWN, where=lambda request: request.method == "GET", times=3)
    (status,) = wait_for_ends(target, [uploaded], 60, _quiet(), pause=lambda _: _process_next(cloud, [KEY]))
    assert (status.outcome, fault.hits) == ("done", 3)


def test_span_of_an_upload_that_fails_says_so_without_a_name(observed, cloud, tmp_path):
    (tmp_path / "jane-doe.nii").symlink_to("/dev/null")  # no regular file
    seen = observed("upload", tmp_path / "jane-doe.nii", *cloud.options)
    (span,) = [span for span in seen["spans"] if span["name"] == "upload_file"]
    assert span["status"] == "ERROR"
    assert "jane" not in str(seen["spans"])
