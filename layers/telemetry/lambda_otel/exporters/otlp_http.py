"""OTLP/HTTP straight to a backend, for functions without a Collector: TLS, gzip, and retries as OTLP asks for them.

A Collector extension is the better way where it is possible: this one makes the environment wait for the backend after
every invocation, and what could not be sent within that time is lost (and counted).
"""

from collections.abc import Callable
from typing import Any

from lambda_otel.export.drops import Drops
from lambda_otel.exporters._post import Poster
from lambda_otel.otlp._wire import Losses
from lambda_otel.otlp.response import rejected_items
from lambda_otel.settings import Backend
from lambda_otel.version import __version__

_RETRIABLE = (429, 502, 503, 504)  # by the OTLP specification


class OtlpHttpExporter:
    """Exporter of one signal.

    Parameters
    ----------
    signal : str
        `traces`, `metrics` or `logs`.
    backend : Backend
    drops : Drops
        Told of what has no place in OTLP, and of what the backend refuses of a batch it takes.
    """

    def __init__(self, signal: str, backend: Backend, drops: Drops) -> None:
        self._signal, self._encode, self._drops = signal, _encoder(signal), drops
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": f"lambda-otel/{__version__}"}
        self._poster = Poster(
            backend.url,
            headers | dict(backend.headers),
            budget_s=backend.timeout_s,
            is_compressed=backend.is_compressed,
            retriable=_RETRIABLE,
        )

    def export(self, batch: Any, **_: Any) -> None:
        """Send a batch.

        Raises
        ------
        ConnectionError
            It was not taken.
        """
        body, losses = self._encode(batch)
        self._drops.add(self._signal, "unencodable", losses.items)
        self._drops.add("attributes", "unencodable", losses.attributes)
        answer = self._poster.post(body)
        if not answer.is_taken:
            raise ConnectionError(answer.reason)
        self._drops.add(self._signal, "rejected", rejected_items(answer.body))


def _encoder(signal: str) -> Callable[[Any], tuple[bytes, Losses]]:
    if signal == "traces":
        from lambda_otel.otlp.traces import encode_spans

        return encode_spans
    if signal == "logs":
        from lambda_otel.otlp.logs import encode_logs

        return encode_logs
    from lambda_otel.otlp.metrics import encode_metrics

    return encode_metrics
