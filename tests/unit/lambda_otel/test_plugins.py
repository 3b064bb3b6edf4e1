import sys
import types

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from lambda_otel.instrumentors import INSTRUMENTORS, instrument_libraries
from lambda_otel.plugins import GuardedProcessor, guarded_processors, load, make
from lambda_otel.resource import detect, make_resource
from lambda_otel.settings import Settings


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("users_code")
    monkeypatch.setitem(sys.modules, "users_code", made)
    return made


def test_load_finds_what_a_dotted_name_stands_for(module):
    module.Outer = types.SimpleNamespace(inner=7)

    assert load("users_code:Outer.inner") == 7


def test_make_calls_a_class_or_factory_and_takes_an_object_as_it_is(module):
    module.Kind, module.ready = dict, 7

    assert make("users_code:Kind", "V") == {}
    assert make("users_code:ready", "V") == 7


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere_to_be_found:X", "ModuleNotFoundError"),
        ("users_code:Missing", "AttributeError"),
        ("users_code:fails", "ZeroDivisionError"),
    ],
)
def test_make_tells_a_failure_in_one_line(module, name, told, caplog):
    module.fails = lambda: 1 / 0

    assert make(name, "OTEL_LAMBDA_SPAN_PROCESSORS") is None
    (record,) = caplog.records
    assert f"`OTEL_LAMBDA_SPAN_PROCESSORS` names `{name}`" in record.getMessage()
    assert told in record.getMessage()
    assert record.exc_info is None


class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise ValueError("start")

    def on_end(self, span):
        raise ValueError("end")

    def _on_ending(self, span):
        raise ValueError("ending")

    def force_flush(self, timeout_millis=30000):
        raise ValueError("flush")

    def shutdown(self):
        raise ValueError("shutdown")


def test_guarded_processor_keeps_errors_from_the_function_and_tells_the_first(caplog):
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(GuardedProcessor("users_code:Broken", Broken()))

    provider.get_tracer("t").start_span("s").end()
    assert provider.force_flush() is False
    provider.shutdown()

    (record,) = caplog.records
    assert record.getMessage() == "`users_code:Broken` failed, which is told once"
    assert str(record.exc_info[1]) == "start"


def test_processors_are_made_in_order_and_one_that_cannot_be_is_left_out(module, caplog):
    module.First, module.Last = type("First", (SpanProcessor,), {}), type("Last", (SpanProcessor,), {})
    module.Other = dict
    added = []

    names = ("users_code:First", "users_code:Gone", "users_code:Other", "users_code:Last")
    made = guarded_processors(names, added.append)

    assert added == made
    assert [type(one._processor).__name__ for one in made] == ["First", "Last"]
    assert "users_code:Gone" in caplog.text
    assert "`users_code:Other` is left out: expected a `SpanProcessor`, got `dict`" in caplog.text


def test_detected_attributes_stand_between_lambdas_own_and_the_settings(module):
    module.One = lambda: types.SimpleNamespace(
        detect=lambda: Resource({"faas.name": "detected", "service.version": "1", "k": "detected"})
    )
    module.Two = lambda: types.SimpleNamespace(detect=lambda: Resource({"service.version": "2"}))
    settings = Settings({"OTEL_RESOURCE_ATTRIBUTES": "k=set"})

    resource = make_resource(settings, {"AWS_LAMBDA_FUNCTION_NAME": "fn"}, detect(("users_code:One", "users_code:Two")))

    assert resource.attributes["faas.name"] == "detected"
    assert resource.attributes["service.version"] == "2"
    assert resource.attributes["k"] == "set"


def test_detector_that_fails_is_told_in_one_line(module, caplog):
    module.Failing = lambda: types.SimpleNamespace(detect=lambda: 1 / 0)

    assert detect(("users_code:Failing", "users_code:Missing")) == {}
    assert len(caplog.records) == 2


# instrumentors


@pytest.fixture
def instrumented(monkeypatch):
    calls = []

    class RequestsInstrumentor:
        def instrument(self, **options):
            calls.append(options)

    package = types.ModuleType("opentelemetry.instrumentation.requests")
    package.RequestsInstrumentor = RequestsInstrumentor
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation", types.ModuleType("opentelemetry.instrumentation"))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    return calls


def test_instrumentor_is_loaded_by_name_without_a_check_of_what_is_installed(instrumented):
    assert instrument_libraries(("requests", "requests")) == ["requests"]
    assert instrumented == [{"skip_dep_check": True}]


def test_instrumentor_may_be_one_of_the_functions_own(module, instrumented):
    module.Mine = type("Mine", (), {"instrument": lambda self, **options: instrumented.append("mine")})

    assert instrument_libraries(("users_code:Mine",)) == ["users_code:Mine"]
    assert instrumented == ["mine"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("reqests", "is not one of"), ("redis", "whose package is not here"), ("botocore", "is not one of")],
)
def test_instrumentor_that_is_not_there_is_one_line(name, told, caplog):
    assert instrument_libraries((name,)) == []
    (record,) = caplog.records
    assert told in record.getMessage()


def test_instrumentor_that_fails_is_one_line(instrumented, monkeypatch, caplog):
    def fail(self, **options):
        raise RuntimeError("no")

    monkeypatch.setattr(sys.modules["opentelemetry.instrumentation.requests"].RequestsInstrumentor, "instrument", fail)

    assert instrument_libraries(("requests",)) == []
    (record,) = caplog.records
    assert "`requests` could not be instrumented" in record.getMessage()


def test_every_instrumentor_is_a_module_and_a_class():
    for name, where in INSTRUMENTORS.items():
        module, colon, kind = where.partition(":")
        assert name.isidentifier()
        assert all(part.isidentifier() for part in module.split("."))
        assert (colon, kind[:1].isupper()) == (":", True)
