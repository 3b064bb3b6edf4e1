import os

import pytest
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from lambda_otel.export.drops import Drops
from lambda_otel.propagation import XRayReader, install_propagators, parse_xray, sampled_lambda_segment

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:abc:0"
TRACE_ID, SPAN_ID = 0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8


@pytest.fixture(autouse=True)
def _restore():
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


def ids(context):
    found = get_current_span(context).get_span_context()
    return found.trace_id, found.span_id


def test_parse_xray_reads_root_parent_and_sampled():
    context = parse_xray(HEADER)

    assert (context.trace_id, context.span_id) == (TRACE_ID, SPAN_ID)
    assert context.is_remote
    assert context.trace_flags.sampled
    assert not parse_xray(HEADER.replace("Sampled=1", "Sampled=0")).trace_flags.sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=2-1-1;Parent=1",
        "Root=1-x-y;Parent=1",
        "Parent=1",
        ";;=",
        "Root",
    ],
)
def test_parse_xray_of_something_else_is_none(header):
    assert parse_xray(header) is None


def test_install_propagators_extracts_and_injects_what_is_named():
    install_propagators(("tracecontext", "xray"), Drops())

    context = propagate.extract({"X-Amzn-Trace-Id": HEADER})
    carrier = {}
    propagate.inject(carrier, context)

    assert ids(context) == (TRACE_ID, SPAN_ID)
    assert list(carrier) == ["traceparent"]


def test_install_propagators_leaves_unknown_names_out(caplog):
    propagator = install_propagators(("b3", "baggage"), Drops())

    assert "`b3`" in caplog.text
    assert propagator.fields == {"baggage"}


def test_install_propagators_keeps_the_variable_for_others(monkeypatch):
    monkeypatch.setenv("OTEL_PROPAGATORS", "nonsense")

    install_propagators(("none",), Drops())

    assert os.environ["OTEL_PROPAGATORS"] == "nonsense"


def test_xray_lambda_reads_the_environment_only_where_no_other_context_is(monkeypatch):
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER)
    reader = XRayReader(is_from_lambda=True)
    other = set_span_in_context(NonRecordingSpan(SpanContext(7, 8, is_remote=True)))

    assert ids(reader.extract({}, Context())) == (TRACE_ID, SPAN_ID)
    assert ids(reader.extract({}, other)) == (7, 8)
    assert ids(XRayReader(is_from_lambda=False).extract({}, Context())) == (0, 0)


def test_sampled_lambda_segment_is_none_without_active_tracing():
    assert sampled_lambda_segment({"_X_AMZN_TRACE_ID": HEADER}).span_id == SPAN_ID
    assert sampled_lambda_segment({"_X_AMZN_TRACE_ID": HEADER.replace("Sampled=1", "Sampled=0")}) is None
    assert sampled_lambda_segment({}) is None
