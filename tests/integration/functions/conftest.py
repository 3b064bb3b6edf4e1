"""A cloud of three buckets in this process, and the telemetry the functions write."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from neuro_preprocess.image import Image
from neuro_preprocess.nifti import encode_nifti
from pipeline import config, logs, storage

RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"


class Cloud:
    """Buckets as the functions find them, and what tests ask of them."""

    def __init__(self, client: Any) -> None:
        self.client = client
        for bucket in (RAW, WORK, DERIVATIVES):
            client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, content: bytes, **metadata: str) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata)

    def get(self, bucket: str, key: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def json(self, bucket: str, key: str) -> Any:
        return json.loads(self.get(bucket, key))

    def metadata(self, bucket: str, key: str) -> dict[str, str]:
        return self.client.head_object(Bucket=bucket, Key=key)["Metadata"]

    def keys(self, bucket: str) -> list[str]:
        return sorted(entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", []))


@pytest.fixture
def cloud(monkeypatch) -> Iterator[Cloud]:
    monkeypatch.setenv("NEURO_WORK_BUCKET", WORK)
    monkeypatch.setenv("NEURO_DERIVATIVES_BUCKET", DERIVATIVES)
    _forget_process_state()
    with mock_aws():
        yield Cloud(boto3.client("s3"))
    _forget_process_state()


def _forget_process_state() -> None:
    config.settings.cache_clear()
    storage.storage.cache_clear()
    logs.logger.cache_clear()
    logging.Logger.manager.loggerDict.pop("neuro-preprocess", None)  # its handler holds the last test's output


@dataclass
class Telemetry:
    """What was written since the test began."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    before: dict[tuple, float]

    def spans(self, name: str | None = None) -> list[Any]:
        return [span for span in self.exporter.get_finished_spans() if name in (None, span.name)]

    def counts(self) -> dict[tuple, float]:
        """Sums by (name, attributes), of this test alone; the 0s that make a series exist are there too."""
        return {key: value - self.before.get(key, 0) for key, value in _sums(self.reader).items()}

    def total(self, name: str) -> float:
        return sum(value for (counter, _), value in self.counts().items() if counter == name)


def _sums(reader: InMemoryMetricReader) -> dict[tuple, float]:
    data = reader.get_metrics_data()
    return {
        (metric.name, tuple(sorted(point.attributes.items()))): getattr(point, "value", getattr(point, "count", 0))
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


@pytest.fixture(scope="session")
def _sdk() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return exporter, reader


@pytest.fixture
def telemetry(_sdk) -> Telemetry:
    exporter, reader = _sdk
    exporter.clear()
    return Telemetry(exporter, reader, _sums(reader))


@pytest.fixture
def lambda_context() -> SimpleNamespace:
    return SimpleNamespace(aws_request_id="e4b46cbf-b738-4880-bb70-b90e25d47b1c")


@pytest.fixture(scope="session")
def small_scan() -> bytes:
    """A volume of unequal sides, LPS, anisotropic: no head, but a valid T1w file."""
    voxels = np.random.default_rng(0).uniform(10, 100, (7, 8, 9)).astype(np.float32, order="F")
    return encode_nifti(Image(voxels, np.diag([-1.5, -1.0, 2.0, 1.0])))
