"""Spans as JSON to an HTTP API of any kind: an example of an exporter, and a whole one.

`POST {"spans": [{"name": ..., "trace_id": ..., "duration_ms": ..., "attributes": {...}, ...}]}`, in batches, on one
connection. A failure that may pass is tried again with growing pauses, or after the pause that the API asks for, for as
long as `OTEL_LAMBDA_HTTP_API_TIMEOUT` allows. What is left then waits in a file, the dead letter, and is posted after
the next batch that succeeds. What the API refuses is kept beside it, in `<file>.refused`, and never posted again.
"""

import json
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from lambda_otel.exporters._dead_letter import DeadLetter
from lambda_otel.exporters._plain import plain_span, to_json
from lambda_otel.exporters._post import Answer, Poster
from lambda_otel.settings import read_setting
from lambda_otel.version import __version__

_logger = logging.getLogger("lambda_otel")

_LEAST_S = 0.05  # below that no request is worth a try


class HttpApiExporter(SpanExporter):
    """Posts spans to the API that `OTEL_LAMBDA_HTTP_API_*` name.

    Parameters
    ----------
    poster : Poster, optional
    dead_letter, refused : DeadLetter, optional
    batch_size : int, optional
        Spans in one request.
    budget_s : float, optional
        For one export.

    Raises
    ------
    ValueError
        `OTEL_LAMBDA_HTTP_API_ENDPOINT` names none.
    """

    def __init__(
        self,
        poster: Poster | None = None,
        dead_letter: DeadLetter | None = None,
        refused: DeadLetter | None = None,
        *,
        batch_size: int | None = None,
        budget_s: float | None = None,
    ) -> None:
        self._budget_s = budget_s or read_setting("OTEL_LAMBDA_HTTP_API_TIMEOUT") / 1e3
        self._batch_size = batch_size or read_setting("OTEL_LAMBDA_HTTP_API_BATCH_SIZE")
        path = read_setting("OTEL_LAMBDA_HTTP_API_DEAD_LETTER")
        max_bytes = read_setting("OTEL_LAMBDA_HTTP_API_DEAD_LETTER_MAX_BYTES")
        self._poster = poster or _poster(self._budget_s)
        self._dead_letter = dead_letter or DeadLetter(path, max_bytes=max_bytes)
        self._refused = refused or DeadLetter(f"{path}.refused", max_bytes=max_bytes)
        self._is_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Post spans, and then what could not be posted before.

        Success means that they were posted or wait in the dead letter: none of them is lost as long as the environment
        lives.

        Raises
        ------
        OSError
            The dead letter cannot be written.
        """
        until = monotonic() + self._budget_s
        lines = [to_json(plain_span(span)) for span in spans]
        result = SpanExportResult.SUCCESS
        for start in range(0, len(lines), self._batch_size):
            batch = lines[start : start + self._batch_size]
            answer = self._post(batch, until)
            if answer.is_taken:
                self._is_down = False
                continue
            if not answer.is_final:
                self._put_off(lines[start:], answer)
                return result
            self._keep_refused(batch, answer)
            result = SpanExportResult.FAILURE
        self._redrive(until)
        return result

    def shutdown(self) -> None:
        """Drop the connection."""
        self._poster.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        """Nothing waits here."""
        return True

    def _post(self, lines: Sequence[str], until: float) -> Answer:
        left_s = until - monotonic()
        if left_s < _LEAST_S:
            return Answer(0, b"", False, "no time is left")
        return self._poster.post(f'{{"spans":[{",".join(lines)}]}}'.encode(), left_s)

    def _put_off(self, lines: Sequence[str], answer: Answer) -> None:
        gone = self._dead_letter.add(lines)
        if not self._is_down:
            self._is_down = True
            _logger.warning("spans cannot be posted (%s) and wait in the dead letter", answer.reason)
        if gone:
            _logger.warning("the dead letter is full: the oldest %d spans in it are lost", gone)

    def _keep_refused(self, lines: Sequence[str], answer: Answer) -> None:
        self._refused.add(lines)
        _logger.warning("%d spans were refused (%s) and are kept as refused", len(lines), answer.reason)

    def _redrive(self, until: float) -> None:
        """Post what waits, the oldest first, as long as that succeeds and there is time."""
        while until - monotonic() >= _LEAST_S and (waiting := self._dead_letter.first(self._batch_size)):
            lines = [line for line in waiting if _is_json(line)]
            answer = self._post(lines, until)
            if not answer.is_final:
                return
            if not answer.is_taken:
                self._keep_refused(lines, answer)
            self._dead_letter.remove_first(len(waiting))


def _poster(budget_s: float) -> Poster:
    endpoint = read_setting("OTEL_LAMBDA_HTTP_API_ENDPOINT")
    if not endpoint:
        raise ValueError("expected `OTEL_LAMBDA_HTTP_API_ENDPOINT` to name an API")
    headers = {"Content-Type": "application/json", "User-Agent": f"lambda-otel/{__version__}"}
    return Poster(endpoint, headers | dict(read_setting("OTEL_LAMBDA_HTTP_API_HEADERS")), budget_s=budget_s)


def _is_json(line: str) -> bool:
    try:
        parsed: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(parsed, dict)
