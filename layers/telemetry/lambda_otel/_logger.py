"""The logs SDK, set up to queue its records for the end of the invocation."""

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource

import lambda_otel.otlp.logs  # noqa: F401  needed with the first export, and INIT is the better time
from lambda_otel.baggage import attributes_from
from lambda_otel.logs import LogQueue


class _Processor(LogRecordProcessor):
    def __init__(self, queue: LogQueue, baggage_keys: tuple[str, ...]) -> None:
        self._queue, self._baggage_keys = queue, baggage_keys

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if self._baggage_keys:
            record = log_record.log_record
            present = record.attributes or {}
            if added := attributes_from(record.context, self._baggage_keys, present):
                record.attributes = {**present, **added}
        self._queue.put(log_record)

    def shutdown(self) -> None:
        self._queue.flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        self._queue.flush()
        return True


def make_provider(queue: LogQueue, resource: Resource, baggage_keys: tuple[str, ...]) -> LoggerProvider:
    """The SDK's logger provider."""
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(_Processor(queue, baggage_keys))
    return provider
