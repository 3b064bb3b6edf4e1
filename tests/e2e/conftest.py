"""The whole system on this machine: the template as it is, the layers as built, real processes, S3 with faults."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from lambda_local import BucketSpec, Deployment, LambdaService, RuntimeConfig, ServiceOptions, load_deployment
from lambda_local.template import expand_template
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.phantom import head_phantom

ROOT = Path(__file__).parent.parent.parent
RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"
LAYERS = ("TelemetryLayer", "ScienceLayer", "RuntimeLayer", "CollectorLayer")
PATIENCE_S = 240


@dataclass
class System:
    """A running service, what to upload to it and what came out."""

    service: LambdaService

    @property
    def s3(self) -> Any:
        return self.service.s3.client()

    def upload(self, content: bytes, *names: str, **metadata: str) -> None:
        for name in names:
            self.s3.put_object(Bucket=RAW, Key=name, Body=content, Metadata=metadata)

    def drain(self) -> None:
        assert self.service.drain(PATIENCE_S), "there was still work to do"

    def keys(self, bucket: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def json(self, bucket: str, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def ends(self, *names: str) -> dict[str, list[str]]:
        """How each upload ended: `derivatives`, `error <code>`, `failure <stage>`; one entry each if all is well."""
        found: dict[str, list[str]] = {name: [] for name in names}
        for key in self.keys(WORK):
            if key.startswith("report/"):
                found[self.json(WORK, key)["key"]].append("derivatives")
        for key in self.keys(DERIVATIVES):
            if key.endswith(".error.json"):
                report = self.json(DERIVATIVES, key)
                found[report["scan"]].append(f"error {report['code']}")
            if key.endswith(".failure.json"):
                report = self.json(DERIVATIVES, key)
                found[self._upload_of(report)].append(f"failure {report['stage']}")
        return found

    def _upload_of(self, failure: dict[str, Any]) -> str:
        source = failure["event"]["Records"][0]["s3"]
        if source["bucket"]["name"] == RAW:
            return str(source["object"]["key"])
        before = source["object"]["key"].split("/")[0]
        return str(self.json(WORK, f"{before}/{failure['run_id']}.json")["key"])


SystemFactory = Callable[..., AbstractContextManager[System]]


@pytest.fixture(scope="session")
def start_system() -> SystemFactory:
    """Start a system: a head is processed at 4 mm, and retries wait a hundredth of their time."""

    @contextmanager
    def start(
        *,
        timeout_s: int = 60,
        existing_bucket: str = "",
        otlp_endpoint: str = "",
        more_layers: tuple[str, ...] = (),
        **options: Any,
    ) -> Iterator[System]:
        deployment = load_deployment(
            ROOT / "template.yaml",
            parameters={
                "VoxelSizeMm": "4.0",
                "ExistingRawBucket": existing_bucket,
                "OtlpEndpoint": otlp_endpoint,
            },
            layer_dirs={layer: ROOT / ".build/layers" / layer for layer in LAYERS},
        )
        runtime = RuntimeConfig(python=Path(sys._base_executable), runtime_dir=ROOT / ".build/lambda-runtime")
        options = {"concurrency": 4, "time_scale": 0.005} | options
        deployment = _changed(deployment, timeout_s, more_layers)
        with LambdaService(deployment, runtime, ServiceOptions(**options)) as service:
            if existing_bucket:
                service.create_bucket(BucketSpec(existing_bucket, has_eventbridge=True))
            yield System(service)

    return start


def _changed(deployment: Deployment, timeout_s: int, more_layers: tuple[str, ...]) -> Deployment:
    folders = tuple(ROOT / ".build/layers" / layer for layer in more_layers)
    functions = {
        name: replace(spec, timeout_s=timeout_s, layer_dirs=(*spec.layer_dirs, *folders))
        for name, spec in deployment.functions.items()
    }
    return replace(deployment, functions=functions)


@pytest.fixture(scope="session")
def head() -> bytes:
    return encode_nifti(head_phantom((44, 54, 52), 4.0).image)


@pytest.fixture(scope="session")
def t2w_head() -> bytes:
    return encode_nifti(head_phantom((59, 72, 69), 3.0, contrast="T2w").image)


@pytest.fixture(scope="session")
def names() -> tuple[str, ...]:
    return tuple(f"sub-{number:02}/anat/sub-{number:02}_T1w.nii.gz" for number in range(1, 21))


@dataclass(frozen=True)
class Policies:
    """What the roles of the template allow of S3: enough of IAM for statements that only allow."""

    statements: Mapping[str, list[dict[str, Any]]]

    def allow(self, function: str, method: str, bucket: str, key: str) -> bool:
        """Whether a request is allowed; a missing key must also be told as missing, which needs ListBucket."""
        action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}[method]
        is_allowed = self._allows(function, action, f"arn:aws:s3:::{bucket}/{key}", key)
        may_list = self._allows(function, "s3:ListBucket", f"arn:aws:s3:::{bucket}", key)
        return is_allowed and (method == "PUT" or may_list)

    def _allows(self, function: str, action: str, arn: str, key: str) -> bool:
        return any(
            action in _list(statement["Action"])
            and any(fnmatchcase(arn, pattern) for pattern in map(_resolved, _list(statement["Resource"])))
            and _meets(statement.get("Condition"), key)
            for statement in self.statements[function]
        )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resolved(resource: Any) -> str:
    text = resource["Fn::Sub"] if isinstance(resource, dict) else resource
    text = text[0] if isinstance(text, list) else text
    names = {"AWS::Partition": "aws", "Prefix": "neuro-preprocess", "Raw": RAW}
    return re.sub(r"\$\{([\w:]+)\}", lambda match: names[match[1]], text)


def _meets(condition: Any, key: str) -> bool:
    if condition is None:
        return True
    return any(fnmatchcase(key, pattern) for pattern in _list(condition["StringLikeIfExists"]["s3:prefix"]))


@pytest.fixture(scope="session")
def policies() -> Policies:
    resources = expand_template(ROOT / "template.yaml")["Resources"]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            documents = [policy["PolicyDocument"] for policy in resource["Properties"].get("Policies", ())]
            statements = [one for document in documents for one in _list(document["Statement"])]
            found[name.removesuffix("Role")] = [one for one in statements if "Fn::If" not in one]
    return Policies(found)
