"""A Docker engine, the runtime image, what `sam build` made, and an S3 that containers reach."""

import ipaddress
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parent.parent.parent
SAM = ROOT / ".venv-sam/bin/sam"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def run(*command: str | Path, **options: Any) -> str:
    """Standard output of a command; what it said is shown when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session", autouse=True)
def _engine(lack) -> None:
    docker = shutil.which("docker")
    is_there = docker and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0
    if not is_there:
        lack("no Docker engine answers: start one, then `make test-docker`")


@pytest.fixture(scope="session")
def _image() -> str:
    """The runtime image under SAM's tag; an image with that tag that is already here is used as it is."""
    tag = f"public.ecr.aws/lambda/python:{VERSION}-{ARCH}"
    if not run("docker", "images", "--quiet", tag):
        run(sys.executable, ROOT / "scripts/build_runtime_image.py", "--runtime-dir", ROOT / ".build/lambda-runtime")
    return tag


@dataclass
class Sam:
    """SAM on a built template, with an S3 endpoint for the functions."""

    template: Path
    endpoint: str

    def invoke(self, function: str, event: Path) -> str:
        return run(
            *(SAM, "local", "invoke", function, "--event", event, "--template", self.template, "--skip-pull-image"),
            *("--parameter-overrides", f"PythonVersion=python{VERSION} Architecture={ARCH} S3Endpoint={self.endpoint}"),
            cwd=ROOT,
            env=sam_environment(),
        )


def sam_environment() -> dict[str, str]:
    quiet = {"SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true"}
    # SAM would ask STS who it is, which takes 11 s to fail offline; what it finds here goes into the container
    credentials = {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    build = {"PY": VERSION, "ARCH": ARCH, "PYTHON": sys.executable}
    return {**os.environ, **quiet, **credentials, **build}


@pytest.fixture(scope="session")
def sam(_engine, _image, s3, tmp_path_factory) -> Sam:
    build = tmp_path_factory.mktemp("sam") / "build"
    overrides = f"PythonVersion=python{VERSION} Architecture={ARCH}"
    run(SAM, "build", "--build-dir", build, "--parameter-overrides", overrides, cwd=ROOT, env=sam_environment())
    return Sam(build / "template.yaml", s3.meta.endpoint_url)


@pytest.fixture(scope="session")
def gateway(_engine) -> str:
    """The address at which containers on Docker's bridge reach this machine."""
    subnet = run("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}").strip()
    return str(next(ipaddress.ip_network(subnet).hosts()))


@pytest.fixture(scope="session")
def s3(gateway) -> Iterator[Any]:
    """A client of an S3 that listens where containers reach it."""
    server = ThreadedMotoServer(ip_address=gateway, port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield boto3.client("s3", endpoint_url=f"http://{gateway}:{port}")
    server.stop()
