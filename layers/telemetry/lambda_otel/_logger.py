"""The logs SDK, set up to queue its records for the end of the invocation."""

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource

import lambda_otel.otlp.logs  # noqa: F401  needed with the first export, and INIT is the better time
from lambda_otel.logs import LogQueue


class _Processor(LogRecordProcessor):
    def __init__(self, queue: LogQueue) -> None:
        self._queue = queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._queue.put(log_record)

    def shutdown(self) -> None:
        self._queue.flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        self._queue.flush()
        return True


def make_provider(queue: LogQueue, resource: Resource) -> LoggerProvider:
    """The SDK's logger provider."""
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(_Processor(queue))
    return provider
