"""`local up`, and the commands that find it: real processes from the template and the built layers."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
COMMAND = [sys.executable, "-m", "neuro_cli"]

pytestmark = pytest.mark.usefixtures("layers")


@contextlib.contextmanager
def running(*words, env):
    """A service in a process of its own, once it listens; stopped as Ctrl-C does."""
    process = subprocess.Popen(
        [*COMMAND, "local", "up", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    try:
        lines = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line)
        yield process, lines
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return os.environ | {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("local"))}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def service(layers, env, kept):
    with running("--keep", kept, "--parameter", "VoxelSizeMm=3.0", "--time-scale", "0.01", env=env) as (process, lines):
        yield process, lines


@pytest.fixture
def ask(service, env):
    def call(*words):
        return subprocess.run(
            [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=env, timeout=120
        )

    return call


@pytest.fixture(scope="module")
def uploaded(service, env, dataset):
    done = subprocess.run(
        [*COMMAND, "upload", dataset, "--wait", "--json"], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 1, done.stderr  # one of the two scans is broken
    return {item["key"]: item for item in json.loads(done.stdout)}


def test_service_says_how_to_use_it(service):
    text = "".join(service[1])
    assert "neuro-preprocess upload sub-01_T1w.nii.gz --wait" in text
    assert "aws s3 cp --endpoint-url http://127.0.0.1:" in text
    assert "s3://neuro-preprocess-raw" in text


def test_good_scan_comes_back_and_broken_one_is_told(uploaded):
    assert uploaded[KEY]["status"]["outcome"] == "done"
    assert 1000 < uploaded[KEY]["status"]["brain_volume_ml"] < 1700
    broken = uploaded["sub-02/anat/sub-02_T1w.nii.gz"]["status"]
    assert (broken["outcome"], broken["error"]["code"]) == ("rejected", "NOT_NIFTI")


def test_derivatives_are_kept_on_disk(uploaded, kept):
    assert (kept / "sub-01/anat/sub-01_desc-brain_T1w.nii.gz").is_file()
    assert (kept / "sub-01/figures/sub-01_desc-qc_T1w.html").is_file()
    assert list((kept / "errors").glob("*.error.json"))


def test_status_finds_the_service(uploaded, ask):
    answer = ask("status", "sub-01_T1w.nii.gz")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"{KEY}: done")


def test_replay_skips_what_is_done_and_force_does_it_again(uploaded, ask, tmp_path, sample_event):
    event = sample_event("s3-put-versioned")
    entity = event["Records"][0]["s3"]["object"]
    entity["key"], entity["versionId"] = KEY, uploaded[KEY]["version_id"]
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))

    again = ask("replay", path)
    assert again.returncode == 0
    assert again.stdout == f"Conform:\n  {KEY}: skipped, run {uploaded[KEY]['run_id']}\n"

    forced = json.loads(ask("replay", "--force", "--json", path).stdout)
    assert forced[0]["answer"]["objects"][0]["outcome"] == "ok"
    assert forced[0]["run_ids"] != [uploaded[KEY]["run_id"]]


def test_replay_tells_the_function_s_error(ask, tmp_path, sample_event):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(sample_event("s3-put-by-conform")))
    answer = ask("replay", "--function", "Report", path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: `Report`: ")


def test_replay_of_an_unknown_function_names_the_known_ones(ask, tmp_path, sample_event):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(sample_event("s3-put")))
    answer = ask("replay", "--function", "Nope", path)
    assert answer.returncode == 1
    assert "ResourceNotFoundException" in answer.stderr
    assert "SkullStrip" in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_service_ends_cleanly(tmp_path, number):
    env = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    with running(env=env) as (process, _):
        assert list(tmp_path.rglob("local-service.json"))
        process.send_signal(number)
        _, words = process.communicate(timeout=20)
        assert process.returncode == 0
        assert words == "stopping\n"
    assert not list(tmp_path.rglob("local-service.json"))


def test_wrong_parameter_is_told(env):
    command = [*COMMAND, "local", "up", "--parameter", "Normalization=minmax"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    assert "parameter `Normalization` is `minmax`" in done.stderr


def test_taken_port_is_told(env):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*COMMAND, "local", "up", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    assert "the local service cannot listen: address already in use" in done.stderr
