"""The handler that Lambda is given in place of the function's own, and `instrument`, which makes it.

The file's name is on purpose: Lambda's runtime leaves frames of files named `bootstrap.py` out at the top of the stack
trace it reports, so that a function that raises is reported as it would be without the layer.
"""

import gc
import importlib
import os
import sys
from collections.abc import Callable
from functools import wraps
from time import process_time_ns
from typing import TYPE_CHECKING, Any

from lambda_otel._bundle import install_bundle
from lambda_otel._deferred import deferred_modules

if TYPE_CHECKING:
    from lambda_otel.contrib import Contrib
    from lambda_otel.telemetry import Telemetry

Handler = Callable[[Any, Any], Any]

_MARK = "__lambda_otel__"
_telemetry: "Telemetry | None" = None


def instrument(handler: Handler) -> Handler:
    """A handler with telemetry, that behaves as the given one.

    For functions that do not use the exec wrapper; with it, nothing is added a second time.

    Parameters
    ----------
    handler : callable
        `handler(event, context)`

    Returns
    -------
    callable
        Returns what the handler returns and raises what it raises. The handler itself, if `OTEL_SDK_DISABLED` is `true`
        or if telemetry could not be set up.

    Examples
    --------
    >>> @instrument
    ... def handler(event, context):
    ...     return {"ok": True}
    """
    telemetry = _start()
    if telemetry is None or hasattr(handler, _MARK):
        return handler

    contrib = telemetry.contrib
    made = _by_us(telemetry, handler) if contrib is None else _by_contrib(telemetry, contrib, handler)
    setattr(made, _MARK, True)
    return made


def _by_us(telemetry: "Telemetry", handler: Handler) -> Handler:
    @wraps(handler)
    def instrumented(event: Any, context: Any) -> Any:
        if telemetry.is_invoked:  # instrumented twice, with a decorator between that does not show it
            return handler(event, context)
        invocation = telemetry.begin(event, context)
        try:
            result = handler(event, context)
        except BaseException as error:
            telemetry.fail(invocation, error)
            # without our frame in it, whoever prints the stack trace prints what it would be without us
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise
        telemetry.succeed(invocation, result)
        return result

    return instrumented


def _by_contrib(telemetry: "Telemetry", contrib: "Contrib", handler: Handler) -> Handler:
    @wraps(handler)
    def instrumented(event: Any, context: Any) -> Any:
        if telemetry.is_invoked:
            return handler(event, context)
        outcome = telemetry.invoke(contrib, handler, event, context)
        try:
            if outcome.error is not None:
                raise outcome.error.with_traceback(outcome.traceback)
            return outcome.result
        finally:
            del outcome  # it holds the error, whose traceback holds this frame

    return instrumented


def _start() -> "Telemetry | None":
    global _telemetry  # noqa: PLW0603  one a process, as the providers are
    if _telemetry is None:
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return None
        began_ns = process_time_ns()
        try:
            install_bundle()
            with deferred_modules():
                from lambda_otel.resource import detect
                from lambda_otel.settings import from_environment
                from lambda_otel.telemetry import Telemetry

                settings = from_environment()
            # code of the function's own, which is to see the standard modules as they are
            detected = detect(names) if (names := settings["OTEL_LAMBDA_RESOURCE_DETECTORS"]) else {}
            with deferred_modules():
                telemetry = Telemetry(settings, detected)
            telemetry.extend()
            telemetry.load_contrib()
            if settings["OTEL_LAMBDA_MEASURE_COST"]:
                from lambda_otel.cost import measure_cost

                measure_cost(telemetry, began_ns)
            _telemetry = telemetry
        except Exception as error:  # noqa: BLE001  the boundary: a function without telemetry is better than none
            print(f"lambda_otel: no telemetry, since it could not be set up: {error!r}", file=sys.stderr)  # noqa: T201
    return _telemetry


def _load() -> Handler:
    """The function's own handler, instrumented. Fails as the runtime would fail without the layer."""
    thresholds = gc.get_threshold()
    gc.set_threshold(0)  # what imports make is there to stay: looking for garbage in it is time lost
    try:
        _start()
        handler = instrument(_resolve(os.environ["ORIG_HANDLER"]))
        gc.freeze()
    finally:
        if gc.get_threshold()[0] == 0:  # else the function has its own idea
            gc.set_threshold(*thresholds)
    return handler


def _resolve(name: str) -> Handler:
    runtime = sys.modules.get("awslambdaric.bootstrap")
    if runtime is None:
        module, _, attribute = name.rpartition(".")
        handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
        return handler
    faults = sys.modules["awslambdaric.lambda_runtime_exception"]
    try:
        return runtime._get_handler(name)  # type: ignore[no-any-return]
    except faults.FaultException:
        raise
    except Exception:  # noqa: BLE001  as the runtime does, which would find our own frames in the trace
        fault = runtime.build_fault_result(sys.exc_info(), None)
        raise faults.FaultException(fault["errorType"], fault["errorMessage"], fault["stackTrace"]) from None


def __getattr__(name: str) -> Any:
    """`handler`, loaded when the runtime asks for it: an error then reaches it as it is, not as one of this import."""
    if name == "handler":
        return _load()
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
