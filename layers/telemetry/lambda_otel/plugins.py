"""What a function names by `module:name`: found when it is needed, and never a reason for the function to fail."""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.context import Context

_logger = logging.getLogger("lambda_otel")


def load(name: str) -> Any:
    """What a dotted name `module:name` or `module:name.of.it` stands for.

    Raises
    ------
    ImportError, AttributeError
        There is no such module, or nothing of that name in it. An import may raise anything else, too.
    """
    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def make(name: str, variable: str) -> Any:
    """What a class or factory of that name makes, called without arguments, or what is there if it is neither.

    None if that fails, which is told in one line of the log.
    """
    try:
        found = load(name)
        return found() if callable(found) else found
    except Exception as error:  # noqa: BLE001  the boundary: code of anybody
        _logger.warning("`%s` names `%s`, which is left out: %s: %s", variable, name, type(error).__name__, error)
        return None


class GuardedProcessor(SpanProcessor):
    """A span processor whose errors end in the log and not in the function; the first one, for each would be too many.

    Parameters
    ----------
    name : str
    processor : SpanProcessor
    """

    def __init__(self, name: str, processor: SpanProcessor) -> None:
        self._name, self._processor = name, processor
        self._has_failed = False
        # one that keeps spans for an exporter of its own has to let them go before the environment is frozen
        self.is_keeping = type(processor).force_flush is not SpanProcessor.force_flush

    def on_start(self, span: Span, parent_context: "Context | None" = None) -> None:
        """As the processor does."""
        try:
            self._processor.on_start(span, parent_context)
        except Exception as error:  # noqa: BLE001  the boundary, as everywhere below
            self._note(error)

    def _on_ending(self, span: Span) -> None:
        try:
            self._processor._on_ending(span)
        except Exception as error:  # noqa: BLE001
            self._note(error)

    def on_end(self, span: ReadableSpan) -> None:
        """As the processor does."""
        try:
            self._processor.on_end(span)
        except Exception as error:  # noqa: BLE001
            self._note(error)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """As the processor does."""
        try:
            return self._processor.force_flush(timeout_millis)
        except Exception as error:  # noqa: BLE001
            self._note(error)
            return False

    def shutdown(self) -> None:
        """As the processor does."""
        try:
            self._processor.shutdown()
        except Exception as error:  # noqa: BLE001
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            _logger.warning("`%s` failed, which is told once", self._name, exc_info=error)


def guarded_processors(names: tuple[str, ...], add: Callable[[GuardedProcessor], None]) -> list[GuardedProcessor]:
    """Make the processors that `OTEL_LAMBDA_SPAN_PROCESSORS` names, in that order, and add them."""
    made = []
    for name in names:
        processor = make(name, "OTEL_LAMBDA_SPAN_PROCESSORS")
        if processor is None:
            continue
        if not isinstance(processor, SpanProcessor):
            _logger.warning("`%s` is left out: expected a `SpanProcessor`, got `%s`", name, type(processor).__name__)
            continue
        made.append(GuardedProcessor(name, processor))
        add(made[-1])
    return made
