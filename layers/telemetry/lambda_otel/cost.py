"""What the layer itself costs a function: CPU time within its own code, as the metric `lambda_otel.cpu_time`.

Loaded for `OTEL_LAMBDA_MEASURE_COST=true` only. What a function calls of the SDK, and what the layer does around an
invocation, is put between two readings of the thread's CPU clock, which themselves count: the figure is a little too
high rather than too low. Attribute `phase` is `init` for what a cold start takes until the function's own code is
loaded, else `invocation`.
"""

from collections.abc import Callable
from functools import wraps
from threading import Lock, local
from time import process_time_ns, thread_time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.sdk.trace import Span

from lambda_otel.export.exporter import Exporter
from lambda_otel.invocation import InvocationStarter
from lambda_otel.logs import LogHandler
from lambda_otel.tracer import _CurrentSpan, tracer_class

if TYPE_CHECKING:
    from lambda_otel.telemetry import Telemetry

METRIC = "lambda_otel.cpu_time"

_SPAN_METHODS = ("set_attribute", "set_attributes", "add_event", "add_link", "set_status", "record_exception", "end")
_INSTRUMENT_METHODS = ("add", "record", "set")
_AROUND_INVOCATIONS = ("begin", "succeed", "fail", "_enter", "_conclude")
_EXPORTS = ("end", "flush")
_AWS_METHODS = ("begin", "succeed", "fail")


class CpuClock:
    """Adds up the CPU time of calls, each moment once, however they call each other; in any thread."""

    def __init__(self) -> None:
        self._here = local()
        self._lock = Lock()
        self._total_ns = 0

    def take(self) -> int:
        """CPU time since the last `take`, in ns."""
        with self._lock:
            total_ns, self._total_ns = self._total_ns, 0
        return total_ns

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts."""
        return self._switched(function, is_counting=True)

    def uncounted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time does not count even where its caller's does: it is the user's own."""
        return self._switched(function, is_counting=False)

    def _switched(self, function: Callable[..., Any], *, is_counting: bool) -> Callable[..., Any]:
        here = self._here

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(here, "is_counting", False) is is_counting:
                return function(*args, **kwargs)
            self._turn(is_counting)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn(not is_counting)

        return call

    def _turn(self, is_counting: bool) -> None:
        now_ns, here = thread_time_ns(), self._here
        if not is_counting:
            with self._lock:
                self._total_ns += now_ns - here.since_ns
        here.is_counting, here.since_ns = is_counting, now_ns


def measure_cost(telemetry: "Telemetry", began_ns: int) -> None:
    """Count the layer's own CPU time from now on, and send it with the metrics of each invocation.

    Parameters
    ----------
    telemetry : Telemetry
    began_ns : int
        The process's CPU clock when the layer began to be set up.
    """
    init_ns = process_time_ns() - began_ns
    clock = CpuClock()
    counted: list[tuple[type, tuple[str, ...]]] = [
        (type(telemetry), _AROUND_INVOCATIONS),
        (tracer_class(), ("start_span",)),
        (_CurrentSpan, ("__enter__", "__exit__")),
        (Span, _SPAN_METHODS),
        (LogHandler, ("emit",)),
        (Exporter, _EXPORTS),
        *((instrument, _INSTRUMENT_METHODS) for instrument in _instruments()),
        *_aws_hooks(),
    ]
    for owner, names in counted:
        _wrap(owner, names, clock.counted)
    _wrap(InvocationStarter, ("ask_hook",), clock.uncounted)
    _publish_with_metrics(clock, init_ns)


def _publish_with_metrics(clock: CpuClock, init_ns: int) -> None:
    """Have all metrics be followed by what was used up to them, in the same request.

    What it takes to send that request counts for the next one.
    """
    counter = metrics.get_meter("lambda_otel").create_counter(METRIC, "s", "CPU time of the telemetry layer")
    encoded = Exporter._encoded_metrics
    rest_ns = [init_ns]

    def encoded_cost(exporter: Exporter, told: Any) -> Any:
        while rest_ns:
            counter.add(rest_ns.pop() / 1e9, {"phase": "init"})
        counter.add(clock.take() / 1e9, {"phase": "invocation"})
        return encoded(exporter, told)

    uncounted_cost = clock.uncounted(encoded_cost)

    @wraps(encoded)
    def encoded_with_cost(self: Exporter, told: Any) -> Any:
        parts = [part for part in (encoded(self, told), uncounted_cost(self, told)) if part]
        if not parts:
            return None
        # one message after the other is both in one
        return "metrics", b"".join([body for _, body, _ in parts]), sum(items for _, _, items in parts)

    setattr(Exporter, "_encoded_metrics", encoded_with_cost)  # noqa: B010  a method, to a type checker


def _wrap(owner: type, names: tuple[str, ...], wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    for name in names:
        if name in vars(owner):
            setattr(owner, name, wrapper(vars(owner)[name]))


def _instruments() -> tuple[type, ...]:
    from opentelemetry.sdk.metrics import Counter, Histogram, UpDownCounter
    from opentelemetry.sdk.metrics._internal.instrument import Gauge

    return Counter, UpDownCounter, Histogram, Gauge


def _aws_hooks() -> list[tuple[type, tuple[str, ...]]]:
    """Of the botocore hook, where this layer has it."""
    try:
        from lambda_otel.aws.client import _Requests
    except ImportError:
        return []
    return [(_Requests, _AWS_METHODS)]
