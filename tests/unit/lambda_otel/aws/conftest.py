"""A botocore that answers what a test says, with the hook on it, and the spans that come out."""

from types import SimpleNamespace

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lambda_otel.aws import object_keys
from lambda_otel.aws.client import hook
from lambda_otel.export.drops import Drops
from lambda_otel.propagation import install_propagators

ALL = ("s3", "sqs", "sns", "lambda", "events")
OK = {"ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "R1", "RetryAttempts": 0}}


class FakeClient:
    """As much of a botocore client as the hook sees."""

    def __init__(self, service, service_id, endpoint="https://somewhere.eu-west-1.amazonaws.com"):
        model = SimpleNamespace(service_name=service, service_id=service_id)
        self.meta = SimpleNamespace(service_model=model, endpoint_url=endpoint, region_name="eu-west-1")
        self.sent = []
        self.answer = OK


def make_module():
    """A `botocore.client` whose clients send nothing."""

    class BaseClient(FakeClient):
        def _make_api_call(self, operation_name, api_params):
            self.sent.append((operation_name, api_params))
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer() if callable(self.answer) else self.answer

    return SimpleNamespace(BaseClient=BaseClient)


@pytest.fixture(autouse=True)
def _clean():
    before = propagate.get_global_textmap()
    object_keys._mask.cache_clear()
    yield
    object_keys._mask.cache_clear()
    propagate.set_global_textmap(before)


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def ended():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(ended):
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    return provider.get_tracer("t")


@pytest.fixture
def fake_module():
    return make_module()


@pytest.fixture
def client_of(tracer, drops, fake_module):
    """Make a client of a service, hooked."""
    install_propagators(("tracecontext", "baggage"), drops)
    hook(fake_module, tracer, drops, ALL)
    return fake_module.BaseClient
