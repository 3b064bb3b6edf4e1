"""Logs: the records of `logging`, as the function prints them, on their way out beside spans and metrics.

Nothing is printed here: what a function prints it prints as before. Where a logger prints JSON lines (Powertools,
Lambda's JSON format, other JSON formatters), the body of the OTLP record is that line; else it is the message.
"""

import logging
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Lock, get_ident
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current

from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.settings_table import MIB

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import Attributes

_SEVERITY_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_MARK = "_lambda_otel"
_MAX_LETTERS = 4 * MIB  # of all messages that wait
# printed lines by record; not on the record, since formatters print what they find there
_lines: WeakKeyDictionary[logging.LogRecord, str] = WeakKeyDictionary()
# what every record has, or gets on its way; the rest was given as `extra`
_GIVEN_FIELDS = {"message", "asctime", "aws_request_id", "tenant_id", "_frame_type"}
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | _GIVEN_FIELDS
_SIMPLE_TYPES = (str, bool, int, float)


class LogQueue:
    """Keeps log records for the exporter.

    Records of `logging` come as they were made and become the SDK's only when the exporter takes them: after the
    response, where the handler waits for none of it.

    Parameters
    ----------
    drops : Drops
    pace : Pace
    batch_size, max_size : int
        Records that are a batch, and that may wait; more are dropped, and more than 4 MiB of messages.
    """

    def __init__(self, drops: Drops, pace: Pace, *, batch_size: int, max_size: int) -> None:
        self._drops, self._pace, self._batch_size, self._max_size = drops, pace, batch_size, max_size
        self._records: deque[Any] = deque()
        self._letters = 0

    def put(self, record: Any) -> None:
        """Queue a record, the SDK's or `Printed`, or count it if the queue is full."""
        letters = len(record.message) if isinstance(record, Printed) else 0
        if len(self._records) < self._max_size and self._letters + letters <= _MAX_LETTERS:
            self._records.append(record)
            self._letters += letters
        else:
            self._drops.add("logs", "queue_full", 1)
        is_full = len(self._records) >= self._batch_size or self._letters >= _MAX_LETTERS // 2
        if is_full or monotonic() >= self._pace.due_at:
            self._pace.export()

    def take(self) -> list[Any]:
        """All records, as the SDK's; they are the caller's now."""
        taken = []
        for record in self._take():
            if isinstance(record, Printed):
                record.emit()  # it comes back into the queue, as the SDK's
            else:
                taken.append(record)
        for record in self._take():
            if isinstance(record, Printed):
                self.put(record)  # another thread's, of this very moment: the next export's
            else:
                taken.append(record)
        return taken

    def _take(self) -> list[Any]:
        records, self._letters = self._records, 0
        return [records.popleft() for _ in range(len(records))]

    def flush(self) -> None:
        """Export what is there."""
        self._pace.flush()

    def lose(self) -> None:
        """Count a record that the SDK did not take."""
        self._drops.add("logs", "unencodable", 1)

    def forget(self) -> None:
        """Drop everything: after a fork it is the parent's."""
        self._records, self._letters = deque(), 0


class Printed(NamedTuple):
    """A record of `logging`, with what may be another thing later.

    Attributes
    ----------
    handler : LogHandler
    record : logging.LogRecord
    message : str
    context : Context
    observed_ns : int
    """

    handler: "LogHandler"
    record: logging.LogRecord
    message: str
    context: Context
    observed_ns: int

    def emit(self) -> None:
        """Hand it to the SDK."""
        self.handler.emit_printed(self)


class LazyLoggerProvider(LoggerProvider):
    """Stands for the SDK's `LoggerProvider`, and makes it for the first record: it costs 3 ms of a cold start.

    Parameters
    ----------
    queue : LogQueue
    resource : Resource
    baggage_keys : tuple of str
        Keys of the baggage that records get as attributes.
    """

    def __init__(self, queue: LogQueue, resource: "Resource", baggage_keys: tuple[str, ...] = ()) -> None:
        self._queue, self._resource, self._baggage_keys = queue, resource, baggage_keys
        self._provider: Any = None
        self._lock = Lock()

    def load(self) -> Any:
        """The SDK's provider; one, however many threads ask at once."""
        if self._provider is None:
            with self._lock:
                if self._provider is None:
                    with _without_detectors(self._resource):
                        from lambda_otel._logger import make_provider
                    self._provider = make_provider(self._queue, self._resource, self._baggage_keys)
        return self._provider

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: "Attributes" = None,
    ) -> Logger:
        """A logger of the SDK."""
        logger: Logger = self.load().get_logger(name, version, schema_url, attributes)
        return logger

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        """Export what was logged."""
        self._queue.flush()
        return True

    def shutdown(self) -> None:
        """Export what was logged. The environment lives on: the next invocation has logs too."""
        self._queue.flush()

    def __getattr__(self, name: str) -> Any:
        """All else is the SDK provider's."""
        return getattr(self.load(), name)


class LogHandler(logging.Handler):
    """Hands the records of `logging` to an OpenTelemetry logger provider, by way of a queue.

    Parameters
    ----------
    provider : LoggerProvider
    queue : LogQueue
    """

    def __init__(self, provider: LoggerProvider, queue: LogQueue) -> None:
        super().__init__()
        self._provider, self._queue = provider, queue
        self._loggers: dict[str, Logger] = {}
        self._levels: dict[int, tuple[str, SeverityNumber]] = {}
        self._emitting_thread = 0

    def attach(self) -> None:
        """Get what the root logger's handlers get, without being one of them.

        A function that looks at the root's handlers, removes them, or adds its own only if there are none, is to find
        what it would find without us.
        """
        original = logging.Logger.callHandlers
        if hasattr(original, _MARK):
            return

        @wraps(original)
        def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
            try:
                original(logger, record)
            except BaseException as error:
                # without our frame in it, the stack trace is the one the function would have had without us
                error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
                raise
            if _reaches_root(logger):
                self.emit(record)

        setattr(callHandlers, _MARK, True)
        setattr(logging.Logger, "callHandlers", callHandlers)  # noqa: B010  a method, to a type checker

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; an error of ours is no reason for the function to fail."""
        if self._emitting_thread == get_ident():  # the SDK warns of attributes by `logging`
            return
        try:
            self._queue.put(Printed(self, record, _message(record), get_current(), time_ns()))
        except Exception:  # noqa: BLE001  the boundary
            self.handleError(record)

    def emit_printed(self, printed: Printed) -> None:
        """Hand a queued record to the SDK."""
        self._emitting_thread = get_ident()  # one at a time: an export holds a lock
        try:
            name = printed.record.name
            logger = self._loggers.get(name)
            if logger is None:
                logger = self._loggers[name] = self._provider.get_logger(name)
            logger.emit(self._translate(printed))
        except Exception:  # noqa: BLE001  the boundary
            self._queue.lose()
        finally:
            self._emitting_thread = 0

    def _translate(self, printed: Printed) -> LogRecord:
        record = printed.record
        level = self._levels.get(record.levelno) or self._level(record)
        attributes: dict[str, Any] = {
            "code.file.path": record.pathname,
            "code.function.name": record.funcName,
            "code.line.number": record.lineno,
        }
        # `data`: without the cost of its methods
        line = _lines.get(record) if _lines.data else None  # type: ignore[attr-defined]
        if line is None:
            attributes |= _extra(record)
        if record.exc_info and record.exc_info[0]:
            attributes |= _exception(record.exc_info)
        return LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=printed.observed_ns,
            context=printed.context,
            severity_text=level[0],
            severity_number=level[1],
            body=printed.message if line is None else line,
            attributes=attributes,
        )

    def _level(self, record: logging.LogRecord) -> tuple[str, SeverityNumber]:
        text = _SEVERITY_TEXTS.get(record.levelname, record.levelname)
        level = self._levels[record.levelno] = text, _severity(record.levelno)
        return level


def keep_printed_lines() -> None:
    """Have every handler of `logging` leave the line it prints on the record, if its formatter makes JSON.

    Formatting a second time would cost as much again, and would not give the same line: handlers and filters add to a
    record as it passes.
    """
    original = logging.Handler.format

    @wraps(original)
    def kept(self: logging.Handler, record: logging.LogRecord) -> str:
        try:
            line = original(self, record)
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise
        if line[:1] == "{" and type(self.formatter) is not logging.Formatter:
            _lines.setdefault(record, line.strip())
        return line

    setattr(logging.Handler, "format", kept)  # noqa: B010  a method, to a type checker


@contextmanager
def _without_detectors(resource: "Resource") -> Iterator[None]:
    """Have `Resource.create` give a resource we have.

    The logs SDK calls it for a default of a class it defines, and it would start threads for its detectors.
    """
    from opentelemetry.sdk.resources import Resource

    create = vars(Resource)["create"]
    setattr(Resource, "create", staticmethod(lambda *_, **__: resource))  # noqa: B010  a method, to a type checker
    try:
        yield
    finally:
        setattr(Resource, "create", create)  # noqa: B010


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    fields = vars(record)
    extra = {name: fields[name] for name in fields.keys() - _STANDARD_FIELDS}
    return {name: value if isinstance(value, _SIMPLE_TYPES) else _text(value) for name, value in extra.items()}


def _exception(exc_info: Any) -> dict[str, Any]:
    kind, error, trace = exc_info
    return {
        "exception.type": kind.__name__,
        "exception.message": _text(error),
        "exception.stacktrace": "".join(traceback.format_exception(kind, error, trace)),
    }


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  arguments that do not fit: who prints the record complains, once is enough
        return _text(record.msg)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a value's own method may raise anything
        return f"<{type(value).__name__}>"


def _reaches_root(logger: logging.Logger) -> bool:
    while logger.propagate and logger.parent is not None:
        logger = logger.parent
    return logger is logging.root


def _severity(level: int) -> SeverityNumber:
    """Python's 10, 20, 30, 40, 50 are OpenTelemetry's 5, 9, 13, 17, 21; between them are up to three finer steps."""
    if level < logging.DEBUG:
        return SeverityNumber.UNSPECIFIED if level <= 0 else SeverityNumber.TRACE
    tens, rest = divmod(min(level, 59), 10)
    return SeverityNumber(1 + 4 * tens + min(rest, 3))
