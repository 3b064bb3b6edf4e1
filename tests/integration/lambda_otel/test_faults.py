"""Faults: a function does what it does without the layer, and each of its spans is delivered or counted.

What the parts do is in `test_channel.py` and `test_runtime.py`. Here a whole function meets a fault in some of its
invocations, and a ledger of span ids is held against what the Collector has acknowledged.
"""

import json

import pytest

from ._ledger import Sink, function_with, outcome
from .conftest import OK, status

QUIET, FAULTY = {}, {"is_faulty": True}
AFTER_PAUSE = {"pause_s": 1.05}  # the breaker's first pause is 1 s


@pytest.fixture
def sink(collectors):
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def run(run_function, sink, tmp_path):
    """Run a function with the layer, and its twin without; assert that their outcomes are equal."""
    path = tmp_path / "ledger"

    def run(source, events, *, is_compared=True, **more):
        more = {"LEDGER": str(path), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint} | more
        sandbox = run_function(source, events, **more)
        if is_compared:
            twin = run_function(source, events, with_layer=False, **more | {"LEDGER": str(tmp_path / "none")})
            assert outcome(sandbox) == outcome(twin)
        return sandbox

    run.made = lambda: set(path.read_text().split())
    return run


def assert_balanced(run, sink, *, reason=None):
    made, delivered, dropped = run.made(), set(sink.span_ids()), sink.dropped()
    assert delivered <= made
    assert len(made) == len(delivered) + sum(dropped.values())
    assert set(dropped) == ({reason} if reason else set())


@pytest.mark.parametrize(
    ("answers", "events", "reason"),
    [
        pytest.param([OK, 0.3], [QUIET] * 4 + [{"pause_s": 0.4}], None, id="slow"),
        pytest.param([OK] + ["hang"] * 4, [QUIET] * 2 + [{"pause_s": 0.06}] * 4 + [AFTER_PAUSE], None, id="hanging"),
        pytest.param([OK, "close"], [QUIET] * 4, None, id="closing"),
        pytest.param([OK, "reset", OK, "reset", "reset"], [QUIET] * 3 + [AFTER_PAUSE], None, id="resetting"),
        pytest.param([OK, status(429)], [QUIET] * 3 + [AFTER_PAUSE], None, id="429"),
        pytest.param([OK, status(500)], [QUIET] * 4, "rejected", id="500"),
        pytest.param([OK] + [status(500)] * 3, [QUIET] * 6, "rejected", id="500 to the count, too"),
        pytest.param([OK, b"SSH-2.0\r\n\r\n"], [QUIET] * 4, None, id="garbage"),
        pytest.param([OK] + [b"220 hello\r\n\r\n"] * 2, [QUIET] * 3 + [AFTER_PAUSE], None, id="garbage twice"),
    ],
)
def test_collector_in_trouble_loses_nothing_that_is_not_counted(run, sink, answers, events, reason):
    sink.answers.extend(answers)

    # few answers are waited for: the trouble shows in a later invocation
    run(function_with(), events, OTEL_LAMBDA_ACK_TIMEOUT="50", OTEL_EXPORTER_OTLP_TIMEOUT="200")

    assert_balanced(run, sink, reason=reason)
    assert not sink.answers


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("raise ValueError('no luck')", id="raises"),
        pytest.param("class Odd(Exception):\n    __str__ = None\nraise Odd(1)", id="raises what has no message"),
        pytest.param("sys.exit(7)", id="sys.exit"),
        pytest.param("raise KeyboardInterrupt", id="interrupted"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", id="SIGTERM"),
        pytest.param(
            "subprocess.Popen(['sh', '-c', f'kill -TERM {os.getpid()}; sleep 0.4; kill -KILL {os.getpid()}'])\n"
            "while True:\n    time.sleep(0.01)",
            id="times out",
        ),
    ],
)
def test_handler_that_ends_badly_loses_nothing(run, sink, fault):
    source = function_with(fault)

    run(source, [QUIET, FAULTY, QUIET])
    run(source, [QUIET])  # what a process that has ended is followed by

    assert_balanced(run, sink)


@pytest.mark.parametrize("fault", ["raise ValueError('at import')", "sys.exit(2)", "del handler"])
def test_function_that_fails_to_start_has_delivered_what_it_recorded(run, sink, fault):
    run(function_with(more=f"\nsteps(2)\n{fault}\n"), [QUIET])

    assert_balanced(run, sink)
    assert len(run.made()) == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("os._exit(1)", id="os._exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="SIGKILL"),
        pytest.param("import ctypes; ctypes.string_at(0)", id="SIGSEGV"),
    ],
)
def test_process_that_just_ends_loses_at_most_the_last_interval(run, sink, fault):
    source = function_with("steps(21)\n" + fault)

    run(source, [QUIET, FAULTY, QUIET], OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")
    run(source, [QUIET])

    made, delivered = run.made(), set(sink.span_ids())
    # of the faulty invocation's 26 spans 24 had ended, three batches; the last may still have been on its way
    assert len(made) == 4 + 26 + 4
    assert delivered < made
    assert len(made - delivered) in (2, 10)
    assert sink.dropped() == {}


def test_hundred_thousand_spans_are_delivered_or_counted_in_bounded_memory(run_function, sink):
    source = """
import resource
from opentelemetry import trace

tracer = trace.get_tracer("app")


def handler(event, context):
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(event["spans"]):
        tracer.start_span("step", attributes={"number": 1}).end()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
"""

    sandbox = run_function(source, [{"spans": 100_000}, {"spans": 0}], OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)

    ids = sink.span_ids()
    assert len(ids) + sum(sink.dropped().values()) == 100_002
    assert set(ids.values()) == {1}
    assert json.loads(sandbox.marks[1].body) < 30_000


ODD = """
class Mute:
    def __str__(self):
        raise RuntimeError("not to be shown")
    __repr__ = __str__

logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the SDK tells of each, which is not compared here
odd = [object(), {1}, {"a": object()}, [1, "a"], 2**70, float("nan")]
odd += ["\\ud800", b"\\xff", None, [[1]], ("a", None), type]
with tracer.start_as_current_span("odd \\ud800") as span:
    noted(span)
    for number, value in enumerate(odd):
        span.set_attribute(f"key {number}", value)
        span.set_attribute(value if isinstance(value, str) else f"other {number}", value)
        span.add_event("event", {"value": value})
    span.set_status(trace.StatusCode.ERROR, "\\ud800")
    for number, value in enumerate([*odd, Mute()]):
        logging.getLogger("app").error("value %d", number, extra={"value": value})
    try:
        raise ValueError(Mute())
    except ValueError:
        logging.getLogger("app").exception("mute")
    logging.getLogger("app").error("%d %s", "one too few")  # Lambda's own handler lets this raise
"""


def test_values_that_cannot_be_sent_cost_neither_their_span_nor_their_record(run, sink):
    run(function_with(ODD), [QUIET, FAULTY, QUIET])

    assert_balanced(run, sink)
    (odd,) = (span for span in sink.spans() if span.name.startswith("odd"))
    assert [event.name for event in odd.events] == ["event"] * 12 + ["exception"]
    bodies = [record.body.string_value for record in sink.records()]
    assert bodies == [f"value {number}" for number in range(13)] + ["mute"]
    assert sink.dropped("attributes")["unencodable"] > 0


# The clocks of the whole process, by `sitecustomize`: before anything takes a function of `time` for itself.
CLOCKS = """
import time

wall_s = monotonic_s = 0
real = {name: getattr(time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns")}
time.time = lambda: real["time"]() + wall_s
time.time_ns = lambda: real["time_ns"]() + wall_s * 10**9
time.monotonic = lambda: real["monotonic"]() + monotonic_s
time.monotonic_ns = lambda: real["monotonic_ns"]() + monotonic_s * 10**9
"""
FREEZING = """
import sitecustomize as clocks
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

ask = LambdaRuntimeClient.wait_next_invocation


def ask_and_be_frozen(*args, **kwargs):
    event = ask(*args, **kwargs)
    clocks.wall_s += WALL_S
    clocks.monotonic_s += MONOTONIC_S
    return event


LambdaRuntimeClient.wait_next_invocation = ask_and_be_frozen
"""


@pytest.fixture
def clocks(tmp_path):
    """Variables of a process whose clocks can be set."""
    folder = tmp_path / "clocks"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCKS)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_clock_that_jumps_loses_nothing(run, sink, clocks, jump_s):
    source = function_with(f"import sitecustomize; sitecustomize.wall_s += {jump_s}; steps(2)")

    run(source, [QUIET, FAULTY, QUIET, FAULTY, QUIET], **clocks)

    assert_balanced(run, sink)


@pytest.mark.parametrize("monotonic_s", [3600, 0])
@pytest.mark.parametrize("answers", [[], [OK, "reset"], [OK, status(429)]])
def test_hour_of_freeze_between_invocations_loses_nothing(run, sink, clocks, answers, monotonic_s):
    sink.answers.extend(answers)
    source = function_with(more=FREEZING.replace("WALL_S", "3600").replace("MONOTONIC_S", str(monotonic_s)))
    pause = [] if monotonic_s else [AFTER_PAUSE]

    run(source, [QUIET] * 4 + pause, **clocks)

    assert_balanced(run, sink)


FORK = """
child = os.fork()
steps(2)
if child == 0:
    sys.exit(3)
os.waitpid(child, 0)
"""
PROCESS = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=steps, args=(2,))
child.start()
child.join()
print(child.exitcode)
"""
TERMINATED = """
import multiprocessing
context = multiprocessing.get_context("fork")
mine, its = context.Pipe()
def work():
    with tracer.start_as_current_span("cut off") as span:
        noted(span)
        its.send("ready")
        time.sleep(9)
child = context.Process(target=work)
child.start()
mine.recv()
child.terminate()
child.join()
print(child.exitcode)
"""
SUBPROCESS = """
code = "from opentelemetry import trace; trace.get_tracer('t').start_span('s').end(); print('child')"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout)
"""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(FORK, id="fork"),
        pytest.param(PROCESS, id="multiprocessing"),
        pytest.param(TERMINATED, id="multiprocessing, terminated"),
        pytest.param(SUBPROCESS, id="subprocess"),
    ],
)
def test_second_process_has_its_own_spans_and_leaves_the_invocation_to_the_first(run, sink, fault):
    run(function_with(fault), [QUIET, FAULTY, QUIET])

    assert_balanced(run, sink)
    assert set(sink.span_ids().values()) == {1}
    ends = [headers["lambda-otel-invocation"] for _, headers, _ in sink.requests if "lambda-otel-end" in headers]
    assert len(ends) == len(set(ends)) == 3


# without the layer the API's own provider has neither method
PROVIDER = "(trace.get_tracer_provider() if 'ORIG_HANDLER' in os.environ else __import__('unittest.mock').mock.Mock())"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(f"{PROVIDER}.shutdown(); steps(2)", id="shutdown"),
        pytest.param(f"{PROVIDER}.force_flush(); steps(2)", id="force_flush"),
        pytest.param(
            "from opentelemetry.context import attach, set_value; attach(set_value('k', 1)); steps(1)", id="attach"
        ),
        pytest.param("import gc; gc.collect(); gc.freeze(); steps(2)", id="gc"),
        pytest.param("import logging; logging.shutdown(); logging.disable(); steps(2)", id="logging"),
        pytest.param("logging.root.handlers.clear(); logging.warning('x'); steps(2)", id="handlers"),
        pytest.param("signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), 15); steps(2)", id="deaf"),
    ],
)
def test_function_that_meddles_loses_nothing(run, sink, fault):
    run(function_with(fault), [QUIET, FAULTY, QUIET, FAULTY, QUIET])

    assert_balanced(run, sink)


def test_function_that_replaces_the_provider_by_force_keeps_the_spans_of_its_invocations(run, sink):
    source = function_with("""
from opentelemetry.sdk.trace import TracerProvider
trace._TRACER_PROVIDER = TracerProvider()
with trace.get_tracer("other").start_as_current_span("elsewhere") as span:
    assert span.is_recording()
""")

    run(source, [QUIET, FAULTY, QUIET])

    assert_balanced(run, sink)


def test_function_that_survives_sigterm_has_telemetry_in_its_later_invocations(run, sink):
    source = function_with(
        "os.kill(os.getpid(), signal.SIGTERM); steps(2)",
        more="\nsignal.signal(signal.SIGTERM, lambda *_: print('not yet'))\n",
    )

    run(source, [QUIET, FAULTY, QUIET, QUIET])

    assert_balanced(run, sink)
    assert set(sink.span_ids().values()) == {1}
