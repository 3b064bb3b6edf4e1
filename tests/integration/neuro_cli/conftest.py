"""A head small enough to be preprocessed in a second, a command line, and a pipeline in moto's cloud."""

import importlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest
from click.testing import CliRunner

from lambda_local import BucketSpec
from lambda_local.s3 import S3Endpoint
from neuro_cli.errors import CliError
from neuro_cli.main import main
from neuro_cli.project import find_project
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.phantom import head_phantom
from pipeline import config, keys, logs, storage

VOXEL_SIZE_MM = 3.0
RAW, WORK, DERIVATIVES = "imaging-raw", "imaging-work", "imaging-derivatives"
KEY = "sub-01/anat/sub-01_T1w.nii.gz"


@dataclass
class Answer:
    """What a command said and how it ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def call(*words: object, text: str | None = None) -> Answer:
    result = CliRunner().invoke(main, [str(word) for word in words], input=text, catch_exceptions=False)
    return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def run():
    return call


@pytest.fixture(scope="session")
def head() -> bytes:
    """A synthetic head of 3 mm."""
    return encode_nifti(head_phantom((60, 72, 70), VOXEL_SIZE_MM, seed=1).image)


@pytest.fixture(scope="module", autouse=True)
def _settings(tmp_path_factory) -> Iterator[None]:
    """Heads stay at 3 mm, and no command finds a service that runs on this machine by accident."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURO_VOXEL_SIZE_MM", str(VOXEL_SIZE_MM))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def dataset(tmp_path_factory, head) -> Path:
    """A dataset of one good scan and one broken one, in a folder with a space."""
    root = tmp_path_factory.mktemp("data") / "our scans"
    for key, content in ((KEY, head), ("sub-02/anat/sub-02_T1w.nii.gz", b"no scan")):
        (root / key).parent.mkdir(parents=True)
        (root / key).write_bytes(content)
    return root


class Cloud:
    """Three buckets, and the functions to run on what lies in them."""

    def __init__(self, endpoint: S3Endpoint) -> None:
        self.client: Any = endpoint.client()
        self.faults = endpoint.faults
        self.options = ("--endpoint-url", endpoint.url, "--bucket", RAW)

    def listed(self, bucket: str) -> list[str]:
        return sorted(entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", []))

    def get(self, bucket: str, key: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def notification(self, key: str, bucket: str = RAW) -> dict[str, Any]:
        """The event of an upload's newest version."""
        return _notification(bucket, key, self.client.head_object(Bucket=bucket, Key=key).get("VersionId"))

    def process(self, key: str, last: str = "report", bucket: str = RAW) -> str:
        """Run the stages on an upload's newest version, up to `last`; the id of the run."""
        return self.process_event(self.notification(key, bucket), last)

    def process_event(self, event: dict[str, Any], last: str = "report") -> str:
        """Run the stages on the object of an upload's event."""
        context = SimpleNamespace(aws_request_id="e4b46cbf-b738-4880-bb70-b90e25d47b1c")
        run_id = ""
        for stage in keys.STAGES[: keys.STAGES.index(last) + 1]:
            handler = importlib.import_module(f"{stage}.app").handler
            run_id = handler(event, context)["objects"][0]["run_id"]
            event = _notification(WORK, keys.output_key(stage, run_id), None)
        return run_id


def _notification(bucket: str, key: str, version: str | None) -> dict[str, Any]:
    entity = {"key": quote_plus(key, safe="/"), "size": 1, "eTag": "0", "sequencer": f"{int(time.time()):010X}A1B2C3D4"}
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-20T10:15:30.123Z",
        "s3": {"bucket": {"name": bucket}, "object": entity | ({"versionId": version} if version else {})},
    }
    return {"Records": [record]}


@pytest.fixture(scope="module")
def cloud(_settings) -> Iterator[Cloud]:
    """S3 on this machine, for the commands by `--endpoint-url` and for the functions by their environment."""
    endpoint = S3Endpoint(lambda event: None)
    endpoint.start()
    variables = {
        "NEURO_WORK_BUCKET": WORK,
        "NEURO_DERIVATIVES_BUCKET": DERIVATIVES,
        "AWS_ENDPOINT_URL_S3": endpoint.url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        _forget_process_state()
        for name in (RAW, WORK, DERIVATIVES):
            endpoint.create_bucket(BucketSpec(name, is_versioned=name != WORK))
        yield Cloud(endpoint)
    _forget_process_state()
    endpoint.stop()


def _forget_process_state() -> None:
    config.settings.cache_clear()
    storage.storage.cache_clear()
    logs.logger.cache_clear()
    logging.Logger.manager.loggerDict.pop("neuro-preprocess", None)  # its handler holds the last test's output


@pytest.fixture(scope="session")
def layers(lack) -> None:
    """The built layers, which `make test` sees to."""
    try:
        find_project().require_built()
    except CliError as error:
        lack(f"{error.message}; {error.hint}")


@pytest.fixture(scope="session")
def observed():
    """Run a command in a process of its own with OpenTelemetry's SDK, which can be set up once a process only."""

    def observe(*words: object, env: dict[str, str] | None = None) -> dict[str, Any]:
        script = Path(__file__).with_name("observe.py")
        command = [sys.executable, str(script), *(str(word) for word in words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | (env or {}))
        return json.loads(done.stdout.splitlines()[-1])

    return observe
