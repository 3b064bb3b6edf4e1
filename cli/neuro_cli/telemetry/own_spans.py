"""The spans of this command itself, such as an upload's, into the session of the local service."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.request import Request, urlopen
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from neuro_preprocess import __version__

_logger = logging.getLogger(__name__)

_TIMEOUT_S = 2.0


class _Exporter(SpanExporter):
    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self.is_open = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.is_open:
            return SpanExportResult.SUCCESS
        try:
            self._send(encode_spans(spans).SerializeToString())
        except (OSError, ValueError) as error:  # the session is over, or the disc full: the command's work goes on
            _logger.debug("spans were not recorded: %s", error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def post_to(url: str) -> Callable[[bytes], None]:
    """A function that posts requests for traces to an OTLP endpoint, as that of a service in another process."""

    def post(body: bytes) -> None:
        request = Request(f"{url}/v1/traces", body, {"Content-Type": "application/x-protobuf"})  # noqa: S310  http
        with urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
            pass

    return post


@contextmanager
def own_spans(send: Callable[[bytes], None]) -> Iterator[None]:
    """Record this process's spans while the block lasts.

    Who started the process under an SDK of its own keeps that: a process has one.

    Parameters
    ----------
    send : callable
        Is given the body of a request for traces; may raise OSError and ValueError.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield
        return
    # by hand: `Resource.create` starts threads for its detectors
    resource = Resource(
        {
            "service.name": "neuro-preprocess",
            "service.version": __version__,
            "service.instance.id": str(uuid4()),
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = _Exporter(send)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        exporter.is_open = False  # the provider stays, since a process has one; shut down, it would complain of spans
