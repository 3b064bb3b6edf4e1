"""Takes what was recorded, encodes it, and sends it: at the end of an invocation, in between, and ahead of trouble."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from lambda_otel.export.channel import Channel, Request
from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.otlp._wire import Losses
from lambda_otel.otlp.traces import encode_spans
from lambda_otel.settings import Endpoint, Settings
from lambda_otel.settings_table import MIB
from lambda_otel.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from lambda_otel.export.filters import AttributeFilters
    from lambda_otel.export.open_spans import OpenSpansNote
    from lambda_otel.export.others import OtherExporters
    from lambda_otel.logs import LogQueue
    from lambda_otel.metrics import LazyMeterProvider
    from lambda_otel.spans import SpanQueue

INVOCATION_HEADER = b"Lambda-Otel-Invocation: "
END_HEADER = b"Lambda-Otel-End: 1\r\n"

_SIGNALS = ("traces", "metrics", "logs")
_Encoded = tuple[str, bytes, int]  # signal, body, items in it
_Counts = dict[tuple[str, str], int]
_MAX_REQUEST_BYTES = 2 * MIB  # Collectors take 4 MiB and more
_LOCK_S = 0.1  # an export of another thread is bounded by the Collector's time; this is only for the worst


class Exporter:
    """The way out of all three signals.

    Parameters
    ----------
    settings : Settings
    resource : Resource
    drops : Drops
    pace : Pace
    spans : SpanQueue or None
    metrics : LazyMeterProvider or None
    logs : LogQueue or None
        None: the signal is switched off.

    Attributes
    ----------
    others : OtherExporters or None
        Who else gets what the Collector gets.
    """

    def __init__(
        self,
        settings: Settings,
        resource: "Resource",
        drops: Drops,
        pace: Pace,
        *,
        spans: "SpanQueue | None",
        metrics: "LazyMeterProvider | None",
        logs: "LogQueue | None",
    ) -> None:
        self._resource, self._drops, self._pace = resource, drops, pace
        self._spans, self._metrics, self._logs = spans, metrics, logs
        self._sending = {signal for signal in _SIGNALS if settings.is_sending(signal.upper())}
        self._note = _note(settings) if "traces" in self._sending else None
        self._filters = _filters(settings)
        self.others: OtherExporters | None = None
        self._max_request_bytes = min(_MAX_REQUEST_BYTES, settings["OTEL_LAMBDA_MAX_PENDING_BYTES"] // 2)
        self._metric_interval_s = settings.seconds("OTEL_METRIC_EXPORT_INTERVAL")
        self._metrics_due_at = float("inf")
        self._heads: dict[str, bytes] = {}
        self._channels: dict[str, Channel] = {}
        by_address: dict[tuple[str, int], Channel] = {}
        for signal in _SIGNALS:
            endpoint = settings.endpoint(signal.upper())
            address = endpoint.host, endpoint.port
            if address not in by_address:
                by_address[address] = _channel(endpoint, drops, settings)
            self._channels[signal] = by_address[address]
            self._heads[signal] = _head(endpoint)
        self._all = tuple(by_address.values())
        self._invocation_id = self._invocation = b""
        self._is_invoked = False
        self._lock = Lock()
        pace.bind(self.between, self.flush)

    def begin(self, invocation_id: str, context: Any = None) -> None:
        """An invocation begins: what is sent from now on carries its id, and its context knows how long it may take."""
        is_safe = invocation_id.isascii() and invocation_id.replace("-", "").isalnum()  # as all ids of Lambda's are
        self._invocation_id = invocation_id.encode()[:255] if is_safe else b""
        self._invocation = INVOCATION_HEADER + self._invocation_id + b"\r\n" if is_safe else b""
        self._is_invoked = True
        if self.others:
            self.others.begin(context)
        self._metrics_due_at = monotonic() + self._metric_interval_s
        self._pace.begin()

    def end(self) -> None:
        """The invocation is over: export all, and tell the Collector so, with an empty request if there is nothing."""
        if not self._lock.acquire(timeout=_LOCK_S):
            return
        began_at = monotonic()
        try:
            self._pace.end()
            if not self._channels["traces"].is_closed or self.others:
                self._submit_all(with_metrics=True, is_end=True)
            self._note_open()
            self._exchange(is_waiting=True, began_at=began_at)
        finally:
            self._lock.release()
        if self.others:
            self.others.export()

    def between(self) -> None:
        """Export in the middle of an invocation, or because a queue is full. Another export under way is enough."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._is_invoked:
                self._pace.begin()
            now = monotonic()
            is_due = now >= self._metrics_due_at
            if is_due:
                self._metrics_due_at = now + self._metric_interval_s
            self._submit_all(with_metrics=is_due, is_end=False)
            self._note_open()
            self._exchange(is_waiting=False)
        finally:
            self._lock.release()
        if self.others:
            self.others.start()

    def flush(self) -> None:
        """Export now: the function asked for it, or is about to exit."""
        is_in_vain = self._channels["traces"].is_closed and not self.others
        if is_in_vain or not self._lock.acquire(timeout=_LOCK_S):
            return
        began_at = monotonic()
        try:
            self._submit_all(with_metrics=True, is_end=False)
            self._note_open()
            self._exchange(is_waiting=True, began_at=began_at)
        finally:
            self._lock.release()
        if self.others:
            self.others.export()

    def rescue(self) -> None:
        """Export what can be: metrics last, since collecting them needs locks that the interrupted code may hold."""
        if not self._lock.acquire(timeout=_LOCK_S):
            return
        try:
            for with_metrics in (False, True):
                self._submit_all(with_metrics=with_metrics, is_end=with_metrics)
                self._note_open()
                self._exchange(is_waiting=True)
        finally:
            self._lock.release()  # the function's own handler of the signal may let the process live
        if self.others:
            self.others.export(is_last=True)

    def note_open(self) -> None:
        """Note open spans, so that a Collector extension can end them if nobody else does."""
        if self._note is None or not self._lock.acquire(blocking=False):
            return
        try:
            self._note_open()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Drop connections and requests: after a fork they are the parent's."""
        self._lock = Lock()
        for channel in self._all:
            channel.forget()
        if self._note is not None:
            self._note.forget()
        if self.others:
            self.others.forget()

    def disconnect(self) -> None:
        """Drop connections: after a restore they lead nowhere."""
        for channel in self._all:
            channel.close()

    def _note_open(self) -> None:
        """Note what is open, if that has changed: before what has ended is sent, which nobody else shall end then."""
        if self._note is None or self._spans is None or not self._is_invoked:
            return
        if (spans := self._spans.take_open(self._note.MAX_SPANS)) is None:
            return
        shown = self._filters.spans(spans) if self._filters else spans
        self._note.write(self._invocation_id, encode_spans(shown)[0])

    def _submit_all(self, *, with_metrics: bool, is_end: bool) -> None:
        """Encode everything, the last request with the end header: answers come in order, so it ends all of them."""
        ready: list[_Encoded] = []
        if self._spans is not None and (spans := self._spans.take()):
            if self._filters:
                spans = self._filters.spans(spans)
            ready += self._shared("traces", spans, encode_spans)
        if self._logs is not None and (records := self._logs.take()):
            from lambda_otel.otlp.logs import encode_logs

            if self._filters:
                records = self._filters.records(records)
            ready += self._shared("logs", records, encode_logs)
        dropped: _Counts = {}
        if with_metrics and (metrics := self._encoded_metrics(dropped)):
            ready.append(metrics)
        end = self._end_of(ready) if is_end and self._sending else -1
        for index, (signal, body, items) in enumerate(ready):
            told = dropped if signal == "metrics" else {}
            self._submit(signal, body, items, told, is_end=index == end)

    def _end_of(self, ready: list[_Encoded]) -> int:
        """Which request ends the invocation: the last to the Collector that gets the traces; one is made if none is."""
        channel = self._channels["traces"]
        if not any(self._channels[signal] is channel for signal, _, _ in ready):
            ready.append(("traces", b"", 0))
        return max(index for index, (signal, _, _) in enumerate(ready) if self._channels[signal] is channel)

    def _shared(self, signal: str, items: list[Any], encode: Callable[[Any], tuple[bytes, Losses]]) -> list[_Encoded]:
        """Items for everyone else, and encoded for the Collector; each if it is to have them."""
        if self.others:
            self.others.keep(signal, items)
        return self._parts(signal, items, encode) if signal in self._sending else []

    def _parts(self, signal: str, items: list[Any], encode: Callable[[Any], tuple[bytes, Losses]]) -> list[_Encoded]:
        """Items in as few requests as their size allows."""
        body, losses = encode(items)
        if len(body) > self._max_request_bytes and len(items) > 1:
            middle = len(items) // 2
            return [*self._parts(signal, items[:middle], encode), *self._parts(signal, items[middle:], encode)]
        return [self._encoded(signal, len(items), body, losses)]

    def _encoded_metrics(self, told: _Counts) -> _Encoded | None:
        """Metrics, and what was dropped; one message after the other is both in one.

        Parameters
        ----------
        told : dict
            Gets the counts of drops that are in it.
        """
        if self._metrics is None:
            return None
        dropped = self._drops.take(self._resource, told) if self._drops else None
        data = [taken for taken in (self._metrics.take(), dropped) if taken]
        if data and self.others:
            self.others.keep("metrics", data)
        if not data or "metrics" not in self._sending:
            return None
        from lambda_otel.otlp.metrics import count_points, encode_metrics

        parts = [self._encoded("metrics", count_points(taken), *encode_metrics(taken)) for taken in data]
        return "metrics", b"".join([body for _, body, _ in parts]), sum(points for _, _, points in parts)

    def _encoded(self, signal: str, items: int, body: bytes, losses: Losses) -> _Encoded:
        self._drops.add(signal, "unencodable", losses.items)
        self._drops.add("attributes", "unencodable", losses.attributes)
        return signal, body, items - losses.items

    def _submit(self, signal: str, body: bytes, items: int, dropped: _Counts, *, is_end: bool) -> None:
        head = self._heads[signal] + self._invocation + (END_HEADER if is_end else b"")
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self._channels[signal].submit(Request(signal, items, data, dropped))

    def _exchange(self, *, is_waiting: bool, began_at: float | None = None) -> None:
        for channel in self._all if self._sending else ():
            spent_s = 0.0 if began_at is None else monotonic() - began_at
            channel.exchange(is_waiting=is_waiting, is_counted=self._is_invoked, spent_s=spent_s)


def _note(settings: Settings) -> "OpenSpansNote | None":
    if not settings["OTEL_LAMBDA_NOTE_OPEN_SPANS"]:
        return None
    from lambda_otel.export.open_spans import OpenSpansNote

    return OpenSpansNote(settings["OTEL_LAMBDA_SPOOL_DIR"])


def _filters(settings: Settings) -> "AttributeFilters | None":
    text = settings["OTEL_LAMBDA_ATTRIBUTE_FILTERS"]
    if not text:
        return None
    from lambda_otel.export.filters import make_filters

    return make_filters(text, settings["OTEL_LAMBDA_HASH_SALT"] or "")


def _channel(endpoint: Endpoint, drops: Drops, settings: Settings) -> Channel:
    return Channel(
        endpoint.host,
        endpoint.port,
        drops,
        ack_timeout_s=settings.seconds("OTEL_LAMBDA_ACK_TIMEOUT"),
        give_up_s=settings.seconds("OTEL_EXPORTER_OTLP_TIMEOUT"),
        max_bytes=settings["OTEL_LAMBDA_MAX_PENDING_BYTES"],
    )


def _head(endpoint: Endpoint) -> bytes:
    fields: list[tuple[str, Any]] = [
        ("Host", f"{endpoint.host}:{endpoint.port}"),
        ("User-Agent", f"lambda-otel/{__version__}"),
        ("Content-Type", "application/x-protobuf"),
        *endpoint.headers,
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields if not {"\r", "\n"} & set(f"{name}{value}"))
    return f"POST {endpoint.path} HTTP/1.1\r\n{lines}".encode("latin-1", "replace")
