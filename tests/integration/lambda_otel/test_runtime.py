"""Functions in a real `awslambdaric` process, with the layer's wrapper script."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

WRAPPER = Path(__file__).resolve().parents[3] / "layers" / "telemetry" / "otel-instrument"

PLAIN = """
def handler(event, context):
    return {"echo": event}
"""
THREE_SIGNALS = """
import logging
from opentelemetry import metrics, trace

tracer = trace.get_tracer("app", "1.2")
counter = metrics.get_meter("app").create_counter("processed", "{item}")
logging.getLogger().setLevel(logging.INFO)


def handler(event, context):
    with tracer.start_as_current_span("work") as span:
        counter.add(3, {"kind": "x"})
        logging.getLogger("app").info("did %d", 3)
    return "done"
"""


def attributes(of):
    return {pair.key: value_of(pair.value) for pair in of.attributes}


def value_of(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def report(sandbox):
    """What the runtime told Lambda of an error, and what it printed: without what differs from process to process."""
    error = next(json.loads(mark.body) for mark in sandbox.marks if mark.kind.endswith("error"))
    return [mark.kind for mark in sandbox.marks], error, sandbox.exit_code


def test_invocation_span_says_what_lambda_knows(run_function, collector):
    sandbox = run_function(PLAIN, [{"n": 1}, {"n": 2}])

    assert [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"] == [
        {"echo": {"n": 1}},
        {"echo": {"n": 2}},
    ]
    first, second = collector.spans()
    assert (first.name, first.kind) == ("fn", 2)
    assert attributes(first) == {
        "faas.trigger": "other",
        "faas.coldstart": True,
        "faas.invocation_id": "8476a536-e9f4-11e8-9739-000000000001",
        "cloud.account.id": "123456789012",
        "cloud.resource_id": "arn:aws:lambda:us-east-1:123456789012:function:fn",
        "aws.lambda.invoked_arn": "arn:aws:lambda:us-east-1:123456789012:function:fn",
    }
    assert attributes(second)["faas.coldstart"] is False
    assert first.trace_id != second.trace_id
    resource = attributes(collector.messages("/v1/traces")[0].resource_spans[0].resource)
    assert resource["service.name"] == resource["faas.name"] == "fn"
    assert resource["faas.max_memory"] == 512 * 2**20
    assert resource["cloud.platform"] == "aws_lambda"


def test_three_signals_leave_in_one_pipelined_set_and_the_last_request_ends_the_invocation(run_function, collector):
    run_function(THREE_SIGNALS, [{}])

    assert [path for path, _, _ in collector.requests] == ["/v1/traces", "/v1/logs", "/v1/metrics"]
    assert collector.connections == 1
    assert {headers["lambda-otel-invocation"] for _, headers, _ in collector.requests} == {
        "8476a536-e9f4-11e8-9739-000000000001"
    }
    assert ["lambda-otel-end" in headers for _, headers, _ in collector.requests] == [False, False, True]
    work, root = collector.spans()
    assert (work.name, work.parent_span_id, work.trace_id) == ("work", root.span_id, root.trace_id)
    (record,) = collector.records()
    assert record.body.string_value == "did 3"
    assert (record.trace_id, record.span_id) == (work.trace_id, work.span_id)
    (metric,) = collector.metrics()
    zero, point = metric.sum.data_points
    assert metric.sum.aggregation_temporality == 1
    assert (zero.as_int, point.as_int) == (0, 3)
    assert zero.start_time_unix_nano < zero.time_unix_nano == point.start_time_unix_nano < point.time_unix_nano
    assert point.exemplars[0].span_id == work.span_id


def test_export_comes_after_the_response_and_before_the_next_event(run_function, collector):
    collector.answers.append(0.2)

    sandbox = run_function(PLAIN, [{}], OTEL_LAMBDA_ACK_TIMEOUT="1000")

    next_event, response, next_again = (mark.wall_ms for mark in sandbox.marks)
    assert response - next_event < 150
    assert next_again - response > 190


def test_printed_output_is_the_same_as_without_the_layer(run_function):
    source = THREE_SIGNALS + '\nprint("at import")\n'

    with_layer, without = run_function(source, [{}]), run_function(source, [{}], with_layer=False)

    def shown(sandbox):
        return [line.split("\t")[-1] for line in sandbox.output.splitlines()]

    assert shown(with_layer) == shown(without) != []


RAISES = """
class Failed(Exception):
    pass


def deep():
    raise Failed("no luck")


def handler(event, context):
    deep()
"""


def test_raising_handler_is_reported_as_without_the_layer(run_function, collector):
    with_layer, without = run_function(RAISES, [{}]), run_function(RAISES, [{}], with_layer=False)

    assert report(with_layer) == report(without)
    assert with_layer.output.split("\n")[1:] == without.output.split("\n")[1:]
    (span,) = collector.spans()
    assert (span.status.code, span.status.message) == (2, "Failed: no luck")
    assert attributes(span)["error.type"] == "app.Failed"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.parametrize(
    ("source", "handler"),
    [
        ("import nonexistent_module", "app.handler"),
        ("def handler(:", "app.handler"),
        ("raise ValueError('at import')", "app.handler"),
        ("raise AttributeError('at import')", "app.handler"),
        ("x = 1", "app.handler"),
        ("x = 1", "app"),
        ("x = 1", "nowhere.handler"),
        ("x = 1", "sys.handler"),
        ("import sys; sys.exit(3)", "app.handler"),
    ],
)
def test_init_error_is_reported_as_without_the_layer(run_function, source, handler):
    with_layer = run_function(source, [{}], handler=handler)
    without = run_function(source, [{}], handler=handler, with_layer=False)

    if without.marks:
        assert report(with_layer) == report(without)
    else:
        assert with_layer.marks == []
    assert with_layer.exit_code == without.exit_code


def test_exiting_handler_exports_before_the_process_ends(run_function, collector):
    source = "import sys\n\ndef handler(event, context):\n    sys.exit(7)\n"

    sandbox = run_function(source, [{}])

    (span,) = collector.spans()
    assert span.status.code == 2
    assert attributes(span)["error.type"] == "SystemExit"
    assert sandbox.exit_code == 7


def test_disabled_sdk_is_not_even_imported(run_function, collector):
    source = "import sys\n\ndef handler(event, context):\n    return sorted(sys.modules)\n"

    sandbox = run_function(source, [{}], OTEL_SDK_DISABLED="True")

    modules = json.loads(sandbox.marks[1].body)
    assert not [name for name in modules if name.startswith(("lambda_otel", "opentelemetry"))]
    assert collector.requests == []


def test_stand_ins_of_modules_are_gone_when_the_function_runs(run_function):
    source = """
import socket, subprocess, platform, random, ipaddress

def handler(event, context):
    subprocess.run(["true"], check=True)
    return [type(module).__name__ for module in (socket, subprocess, platform, random, ipaddress)]
"""

    sandbox = run_function(source, [{}])

    assert json.loads(sandbox.marks[1].body) == ["module"] * 5


def test_instrument_in_code_does_what_the_wrapper_does(run_function, collector):
    source = """
from lambda_otel import instrument


@instrument
def handler(event, context):
    "Documented."
    return handler.__doc__
"""

    sandbox = run_function(source, [{}], with_layer=False)

    assert json.loads(sandbox.marks[1].body) == "Documented."
    assert [span.name for span in collector.spans()] == ["fn"]


def test_instrument_in_code_and_wrapper_make_one_span(run_function, collector):
    source = "from lambda_otel import instrument\n\n@instrument\ndef handler(event, context):\n    pass\n"

    run_function(source, [{}])

    assert [span.name for span in collector.spans()] == ["fn"]


def test_wrapper_script_gives_our_handler_to_a_runtime_that_takes_it_as_argument():
    env = {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"}
    command = [WRAPPER, "/bin/sh", "-c", 'echo "$ORIG_HANDLER $_HANDLER $1 $2"', "sh", "app.handler", "an other"]

    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    assert out == "app.handler lambda_otel.bootstrap.handler lambda_otel.bootstrap.handler an other\n"


def test_long_invocation_exports_in_between(run_function, collector):
    source = """
import os
import time
from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    for number in range(3):
        with tracer.start_as_current_span(f"step {number}"):
            time.sleep(0.06)
    os._exit(1)
"""

    run_function(source, [{}], OTEL_BSP_SCHEDULE_DELAY="50")

    collector.wait_for(2)
    assert [span.name for span in collector.spans()][:2] == ["step 0", "step 1"]
    assert not any("lambda-otel-end" in headers for _, headers, _ in collector.requests)


EVENT_CONTEXT = """
import time
from opentelemetry import propagate, trace

tracer = trace.get_tracer("app")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def context_of(event, context):
    with tracer.start_as_current_span("GetObject"):
        with tracer.start_as_current_span("inner"):
            time.sleep(0.02)
    return propagate.extract({"traceparent": TRACEPARENT}), {"aws.s3.key": "hashed", "faas.document.name": None}


def handler(event, context):
    with tracer.start_as_current_span("work"):
        return trace.get_current_span().get_span_context().trace_id.to_bytes(16, "big").hex()
"""
S3_EVENT = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "a+scan.nii.gz"}},
        }
    ]
}


def test_event_context_hook_gives_the_parent_and_its_own_spans_become_children(run_function, collector):
    sandbox = run_function(EVENT_CONTEXT, [S3_EVENT, S3_EVENT], OTEL_LAMBDA_EVENT_CONTEXT="app:context_of")

    assert json.loads(sandbox.marks[1].body) == "0af7651916cd43dd8448eb211c80319c"
    spans = {span.name: span for span in collector.spans()[:4]}
    root = spans["fn"]
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert {span.trace_id.hex() for span in collector.spans()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert spans["GetObject"].parent_span_id == spans["work"].parent_span_id == root.span_id
    assert spans["inner"].parent_span_id == spans["GetObject"].span_id
    assert root.start_time_unix_nano <= spans["GetObject"].start_time_unix_nano
    assert spans["inner"].end_time_unix_nano - spans["inner"].start_time_unix_nano >= 20_000_000
    assert attributes(root)["aws.s3.key"] == "hashed"
    assert attributes(root)["faas.document.name"] == "a scan.nii.gz"
    assert len(collector.spans()) == 8


def test_failing_event_context_hook_leaves_the_event_to_itself(run_function, collector):
    source = "def context_of(event, context):\n    raise KeyError('x')\n" + PLAIN

    sandbox = run_function(source, [S3_EVENT], OTEL_LAMBDA_EVENT_CONTEXT="app:context_of")

    assert sandbox.marks[1].kind == "response"
    (span,) = collector.spans()
    assert attributes(span)["aws.s3.key"] == "a scan.nii.gz"
    assert "`app:context_of` failed" in sandbox.output


POWERTOOLS = """
from aws_lambda_powertools import Logger

log = Logger(service="shop")


def handler(event, context):
    log.append_keys(order=7)
    log.info("sold", extra={"price": 3})
    log.clear_state()
"""


def test_powertools_line_is_the_body_and_is_printed_once(run_function, collector):
    sandbox = run_function(POWERTOOLS, [{}])

    (record,) = collector.records()
    printed = [line for line in sandbox.output.splitlines() if "sold" in line]
    assert printed == [record.body.string_value]
    assert json.loads(printed[0])["order"] == 7
    (root,) = collector.spans()
    assert record.span_id == root.span_id
    assert (record.severity_number, record.severity_text) == (9, "INFO")


def test_json_log_format_of_lambda_is_the_body(run_function, collector):
    source = "import logging\n\ndef handler(event, context):\n    logging.getLogger().warning('careful')\n"

    sandbox = run_function(source, [{}], AWS_LAMBDA_LOG_FORMAT="JSON")

    (record,) = collector.records()
    assert json.loads(record.body.string_value)["message"] == "careful"
    assert record.body.string_value in sandbox.output


def test_handler_that_replaces_logging_handlers_still_has_logs(run_function, collector):
    source = """
import logging

logging.basicConfig(force=True, level=logging.INFO)


def handler(event, context):
    logging.info("hello")
"""

    run_function(source, [{}])

    assert [record.body.string_value for record in collector.records()] == ["hello"]


def test_handler_that_shuts_providers_down_has_telemetry_in_the_next_invocation_too(run_function, collector):
    source = (
        THREE_SIGNALS
        + """

def shutting(event, context):
    handler(event, context)
    trace.get_tracer_provider().shutdown()
    metrics.get_meter_provider().shutdown()
"""
    )

    run_function(source, [{}, {}], handler="app.shutting")

    assert [span.name for span in collector.spans()] == ["work", "fn", "work", "fn"]
    assert len(collector.records()) == 2
    assert sum(point.as_int for metric in collector.metrics() for point in metric.sum.data_points) == 6


def test_handler_that_sets_another_tracer_provider_keeps_ours(run_function, collector):
    source = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())


def handler(event, context):
    with trace.get_tracer("app").start_as_current_span("work"):
        pass
"""

    run_function(source, [{}])

    assert [span.name for span in collector.spans()] == ["work", "fn"]


def test_many_spans_in_one_invocation_are_all_delivered_or_counted(run_function, collector):
    source = """
import resource
from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(20_000):
        tracer.start_span("step").end()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
"""

    sandbox = run_function(source, [{}, {}])

    grown_kb = json.loads(sandbox.marks[1].body)
    dropped = sum(point.as_int for metric in collector.metrics() for point in metric.sum.data_points)
    assert len(collector.spans()) + dropped == 40_002
    assert grown_kb < 30_000


def test_forked_child_has_its_own_ids_and_connection(run_function, collector):
    source = """
import os
from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    child = os.fork()
    with tracer.start_as_current_span("child" if child == 0 else "parent") as span:
        span_id = span.get_span_context().span_id
    if child == 0:
        trace.get_tracer_provider().force_flush()
        os._exit(0)
    os.waitpid(child, 0)
"""

    run_function(source, [{}, {}])

    spans = collector.spans()
    assert sorted(span.name for span in spans) == ["child", "child", "fn", "fn", "parent", "parent"]
    assert len({span.span_id for span in spans}) == 6
    assert collector.connections == 3


def test_restored_snapshot_exports_on_a_connection_of_its_own(run_function, collector):
    sandbox = run_function(PLAIN, [{}], AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")

    assert [mark.kind for mark in sandbox.marks] == ["restore", "next", "response", "next"]
    assert len(collector.spans()) == 1


def test_active_tracing_is_linked_and_its_header_is_left_as_it_is(run_function, collector):
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:1|b:2"
    source = "import os\n\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"

    sandbox = run_function(source, [{}], headers={"Lambda-Runtime-Trace-Id": header})

    assert json.loads(sandbox.marks[1].body) == header
    (span,) = collector.spans()
    assert [link.span_id.hex() for link in span.links] == ["53995c3f42cd8ad8"]
    assert span.parent_span_id == b""


TERMINATED = """
import os
import signal
import time
from opentelemetry import metrics, trace

tracer = trace.get_tracer("app")
counter = metrics.get_meter("app").create_counter("processed")


def handler(event, context):
    with tracer.start_as_current_span("done"):
        counter.add(1)
    with tracer.start_as_current_span("running", attributes={"step": 2}):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
"""


def test_terminated_invocation_exports_and_its_open_spans_end_with_an_error(run_function, collector):
    sandbox = run_function(TERMINATED, [{}])

    assert sandbox.exit_code == -15
    assert [mark.kind for mark in sandbox.marks] == ["next"]
    done, running, root = collector.spans()
    assert (done.name, done.status.code) == ("done", 0)
    assert [(span.name, span.status.code) for span in (running, root)] == [("running", 2), ("fn", 2)]
    assert attributes(running) == {"step": 2, "error.type": "timeout"}
    assert root.end_time_unix_nano >= running.end_time_unix_nano > running.start_time_unix_nano
    assert [metric.name for metric in collector.metrics()] == ["processed"]
    assert "lambda-otel-end" in collector.requests[-1][1]


def test_functions_own_handler_of_sigterm_is_called_too(run_function, collector):
    source = """
import os
import signal


def stop(number, frame):
    print("own handler")
    os._exit(9)


signal.signal(signal.SIGTERM, stop)


def handler(event, context):
    os.kill(os.getpid(), signal.SIGTERM)
"""

    sandbox = run_function(source, [{}])

    assert sandbox.exit_code == 9
    assert "own handler" in sandbox.output
    assert [span.name for span in collector.spans()] == ["fn"]


def test_sigterm_is_guarded_within_an_invocation_only(run_function):
    source = """
import signal
from lambda_otel import bootstrap


def name():
    handler = signal.getsignal(signal.SIGTERM)
    return getattr(handler, "__qualname__", str(handler))


def handler(event, context):
    return [name(), *between]


between = []
end = bootstrap._telemetry._end


def noting_end():
    end()
    between.append(name())


bootstrap._telemetry._hook._before_next = noting_end
"""

    sandbox = run_function(source, [{}, {}])

    bodies = [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"]
    guard, default = "TerminationGuard._handle", "0"
    assert bodies == [[guard, default], [guard, default, default]]


def test_built_layer_with_its_bundle_behaves_as_the_source(run_function, collector, tmp_path):
    packages = tmp_path / "opt" / "python"
    (packages / "lambda_otel").unlink()
    ignored = shutil.ignore_patterns("__pycache__", "exporter", "instrumentation", "proto")
    shutil.copytree(WRAPPER.parent / "lambda_otel", packages / "lambda_otel", ignore=ignored)
    for name in ("opentelemetry", "typing_extensions.py"):
        source = Path(sysconfig.get_path("purelib")) / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, packages / name, **({"ignore": ignored} if source.is_dir() else {}))
    subprocess.run([sys.executable, WRAPPER.parent / "make_bundle.py", packages], check=True, capture_output=True)
    source = (
        THREE_SIGNALS
        + """

def where(event, context):
    import sys
    handler(event, context)
    names = ("lambda_otel.telemetry", "opentelemetry.sdk.trace", "opentelemetry.sdk.metrics", "opentelemetry.trace")
    return [[type(sys.modules[name].__loader__).__name__, sys.modules[name].__file__] for name in names]
"""
    )

    sandbox = run_function(source, [{}], handler="app.where")

    loaded = json.loads(sandbox.marks[1].body)
    assert [loader for loader, _ in loaded] == ["_Finder"] * 4
    assert all(file.startswith(str(packages)) for _, file in loaded)
    assert [span.name for span in collector.spans()] == ["work", "fn"]
    assert len(collector.records()) == len(collector.metrics()) == 1
