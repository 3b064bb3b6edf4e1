"""All of it put together, once a process."""

import atexit
import logging
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Span

from lambda_otel.aws import install
from lambda_otel.aws.post_import import after_import
from lambda_otel.baggage import BaggageAttributes
from lambda_otel.export.drops import Drops
from lambda_otel.export.exporter import Exporter
from lambda_otel.export.pace import Pace
from lambda_otel.ids import OsIdGenerator
from lambda_otel.invocation import Invocation, InvocationStarter
from lambda_otel.logs import LazyLoggerProvider, LogHandler, LogQueue, keep_printed_lines
from lambda_otel.metrics import LazyMeterProvider
from lambda_otel.propagation import install_propagators
from lambda_otel.resource import make_resource, new_instance_id
from lambda_otel.runtime_hook import RuntimeHook
from lambda_otel.sampling import make_sampler
from lambda_otel.settings import SIGNALS, Settings
from lambda_otel.spans import SpanQueue
from lambda_otel.termination import TerminationGuard
from lambda_otel.tracer import LambdaTracerProvider
from lambda_otel.version import __version__

if TYPE_CHECKING:
    from lambda_otel.contrib import Contrib, Outcome

_logger = logging.getLogger("lambda_otel")


class Telemetry:
    """The providers of this process, and the boundary of its invocations.

    Nothing here raises into the function: an error of ours is logged, and the invocation goes on without.

    Parameters
    ----------
    settings : Settings
    detected : mapping, optional
        Attributes of the resource that detectors gave.

    Attributes
    ----------
    contrib : Contrib or None
        The official instrumentations, where they serve in place of ours.
    is_invoked : bool
        Whether the handler is being called.
    """

    def __init__(self, settings: Settings, detected: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        resource = make_resource(settings, os.environ, detected)
        self._drops = Drops()
        self._pace = Pace(settings.seconds("OTEL_BSP_SCHEDULE_DELAY"))
        baggage_keys = settings["OTEL_LAMBDA_BAGGAGE_ATTRIBUTES"]
        self._spans = SpanQueue(self._drops, self._pace, baggage_keys=baggage_keys, **_sizes(settings, "OTEL_BSP"))
        self._log_queue = LogQueue(self._drops, self._pace, **_sizes(settings, "OTEL_BLRP"))

        self._ids = OsIdGenerator()
        self._tracers = LambdaTracerProvider(
            sampler=make_sampler(settings["OTEL_TRACES_SAMPLER"], settings["OTEL_TRACES_SAMPLER_ARG"]),
            resource=resource,
            shutdown_on_exit=False,
            active_span_processor=self._spans if settings.is_exporting("TRACES") else None,
            id_generator=self._ids,
        )
        trace.set_tracer_provider(self._tracers)
        if baggage_keys and not settings.is_exporting("TRACES"):  # for processors that the function adds
            self._tracers.add_span_processor(BaggageAttributes(baggage_keys))

        self._meters: LazyMeterProvider | None = None
        if settings.is_exporting("METRICS"):
            self._meters = LazyMeterProvider(settings, resource, self._pace)
            metrics.set_meter_provider(self._meters)

        if settings.is_exporting("LOGS"):
            loggers = LazyLoggerProvider(self._log_queue, resource, baggage_keys)
            set_logger_provider(loggers)
            self._log_handler = LogHandler(loggers, self._log_queue)
            self._log_handler.attach()
            keep_printed_lines()
            if "logs" in settings["OTEL_LAMBDA_PRELOAD"]:
                loggers.load()
        if self._meters and "metrics" in settings["OTEL_LAMBDA_PRELOAD"]:
            self._meters.load()

        self._exporter = Exporter(
            settings,
            resource,
            self._drops,
            self._pace,
            spans=self._spans,
            metrics=self._meters,
            logs=self._log_queue,
        )
        self._starter = InvocationStarter(
            self._tracers.get_tracer("lambda_otel", __version__),
            install_propagators(settings["OTEL_PROPAGATORS"], self._drops),
            self._spans,
            settings["OTEL_LAMBDA_EVENT_CONTEXT"],
            is_xray_parent="xray-lambda" in settings["OTEL_PROPAGATORS"],
        )
        self._guard = TerminationGuard(self._rescue)
        self._hook = RuntimeHook(self._end)
        self._hook.install()
        self.is_invoked = False
        self._is_running = False
        self._is_child = False
        self._has_hook = bool(settings["OTEL_LAMBDA_EVENT_CONTEXT"])
        self._is_contrib = settings["OTEL_LAMBDA_INSTRUMENTATION"] == "contrib"
        self.contrib: Contrib | None = None
        if not self._is_contrib:
            install(settings, self._drops)
        os.register_at_fork(after_in_child=self._after_fork)
        after_import("multiprocessing.util", self._watch_children)
        atexit.register(self._leave)
        _register_after_restore(self._after_restore)

    def extend(self) -> None:
        """Add what a function names: span processors, exporters beside the Collector's, instrumentors of libraries."""
        settings, processors = self._settings, []
        if names := settings["OTEL_LAMBDA_SPAN_PROCESSORS"]:
            from lambda_otel.plugins import guarded_processors

            processors = guarded_processors(names, self._tracers.add_span_processor)
        if processors or any(settings.other_exporters(signal) for signal in SIGNALS):
            from lambda_otel.exporters import make_others

            self._exporter.others = make_others(settings, processors, self._drops)
        if names := settings["OTEL_LAMBDA_INSTRUMENTORS"]:
            from lambda_otel.instrumentors import instrument_libraries

            instrument_libraries(names)

    def load_contrib(self) -> None:
        """Set up the official instrumentations, if they are asked for and there; else ours serves."""
        if not self._is_contrib:
            return
        try:
            from lambda_otel.contrib import Contrib, botocore_hook

            hook = self._starter.ask_hook if self._has_hook else None
            self.contrib = Contrib(self._tracers, hook, self._started)
        except Exception as error:  # noqa: BLE001  whatever is wrong with packages that are not ours
            _logger.warning("`OTEL_LAMBDA_INSTRUMENTATION=contrib` has no effect: %s", error)
            install(self._settings, self._drops)
        else:
            install(self._settings, self._drops, botocore_hook(self._settings["OTEL_LAMBDA_AWS_INJECT"], self._drops))

    def begin(self, event: Any, context: Any) -> Invocation | None:
        """An invocation begins; None if its span could not be made."""
        invocation, self.is_invoked = None, True
        try:
            self._enter(context)
            invocation = self._starter.start(event, context)
            self._exporter.note_open()
        except Exception:
            _logger.exception("the invocation has no span, or none that was noted")
        return invocation

    def invoke(self, contrib: "Contrib", handler: Callable[[Any, Any], Any], event: Any, context: Any) -> "Outcome":
        """A whole invocation, its span made by the official instrumentation. Raises nothing that the handler raises."""
        self.is_invoked = True
        try:
            self._enter(context)
        except Exception:
            _logger.exception("the invocation is not exported as it should be")
        outcome = contrib.invoke(handler, event, context)
        self._conclude(lambda: None)
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            self._end()
        return outcome

    def _enter(self, context: Any) -> None:
        self._ids.renew()
        self._exporter.begin(str(getattr(context, "aws_request_id", "") or ""), context)
        self._is_running = True
        self._guard.arm()

    def _started(self, span: Span) -> None:
        """The official instrumentation has made a span: it gets what the event-context hook recorded before."""
        try:
            for early in self._spans.early.adopt(span.get_span_context()):
                self._spans.put(early)
            self._exporter.note_open()
        except Exception:
            _logger.exception("the invocation's span is not noted")

    def succeed(self, invocation: Invocation | None, result: Any) -> None:
        """The handler returned."""
        self._conclude(lambda: invocation.succeed(result) if invocation else None)

    def fail(self, invocation: Invocation | None, error: BaseException) -> None:
        """The handler raised. What is no `Exception` ends the process: there is no later moment to export."""
        self._conclude(lambda: invocation.fail(error) if invocation else None)
        if not isinstance(error, Exception):
            self._end()

    def _conclude(self, end_span: Callable[[], None]) -> None:
        self.is_invoked = False
        try:
            end_span()
        except Exception:
            _logger.exception("the invocation's span did not end as it should")
        self._spans.early.end()
        if not self._hook.is_alive:
            self._end()

    def _end(self) -> None:
        """Export, if an invocation was running: after its response where the runtime lets us, else before."""
        if not self._is_running:
            return
        self._is_running = False
        try:
            try:
                self._exporter.end()
            finally:
                self._guard.disarm()
        except Exception:
            _logger.exception("telemetry was not exported")

    def _rescue(self) -> None:
        """The process is about to be ended in the middle of an invocation."""
        try:
            self._spans.cut_off()
            if self._is_child:
                self._exporter.flush()
            else:
                self._exporter.rescue()
        except Exception:
            _logger.exception("telemetry was not exported")

    def _leave(self) -> None:
        """The process ends by itself: INIT or the runtime failed, or it is a forked child that is done.

        What was recorded outside an invocation is exported; a child's invocation is its parent's to end.
        """
        self._end()
        try:
            self._exporter.flush()
        except Exception:
            _logger.exception("telemetry was not exported")

    def _after_fork(self) -> None:
        self._is_child, self._is_running = True, False
        self._ids.renew()
        for keeper in (self._drops, self._spans, self._meters, self._log_queue, self._exporter):
            if keeper is not None:
                keeper.forget()

    def _watch_children(self, multiprocessing_util: Any) -> None:
        """Have children of `multiprocessing` export before they end: they leave by `os._exit`."""

        def at_exit(telemetry: Telemetry) -> None:
            multiprocessing_util.Finalize(None, telemetry._leave, exitpriority=-1)

        multiprocessing_util.register_after_fork(self, at_exit)

    def _after_restore(self) -> None:
        self._exporter.disconnect()
        self._tracers._update_resource(Resource({"service.instance.id": new_instance_id()}))


def _sizes(settings: Settings, prefix: str) -> dict[str, int]:
    max_size = settings[f"{prefix}_MAX_QUEUE_SIZE"]
    # a batch larger than the queue would never be full
    return {"batch_size": min(settings[f"{prefix}_MAX_EXPORT_BATCH_SIZE"], max_size), "max_size": max_size}


def _register_after_restore(function: Callable[[], None]) -> None:
    """Have a function called in every environment that Lambda makes from a SnapStart snapshot."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    try:
        hooks = import_module("snapshot_restore_py")
    except ImportError:
        return
    hooks.register_after_restore(function)
