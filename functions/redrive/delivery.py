"""One invocation's work: object after object to the backend, while there is time and the backend takes them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from tempfile import TemporaryFile
from typing import BinaryIO

from aws_lambda_powertools import Logger
from opentelemetry import metrics
from opentelemetry.metrics import Counter

from pipeline.errors import ConfigError
from redrive.backend import Answer, Backend, Verdict
from redrive.bucket import TelemetryBucket
from redrive.bundle import MAX_OBJECT_BYTES, BundleWriter, PoisonError, read_requests
from redrive.wire import Signal, count_items, split

# What must be left of the invocation to store the rest of an object, and to begin with another one.
_RESERVE_S = 5.0
_MIN_START_S = 10.0
_MAX_POST_S = 20.0
_MIN_POST_S = 0.5
# A backend may fail on one request and take the next, so that one bad request must not hold up all others.
_STRIKES = 3


class Outcome(StrEnum):
    """What became of an object."""

    DELIVERED = "delivered"  # what the backend refused for good is kept aside
    WAITING = "waiting"
    POISON = "poison"
    GONE = "gone"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Instruments:
    """What redriving counts."""

    redriven: Counter
    objects: Counter


@cache
def instruments() -> Instruments:
    """All instruments, made when first used."""
    meter = metrics.get_meter("redrive")
    return Instruments(
        redriven=meter.create_counter(
            "lambda_collector.redriven", "{item}", "Spans, points and records of handed-over telemetry, by outcome"
        ),
        objects=meter.create_counter(
            "lambda_collector.redriven.objects", "{object}", "Objects of handed-over telemetry, by outcome"
        ),
    )


class Delivery:
    """Delivers objects; remembers which signals the backend does not take at the moment.

    Parameters
    ----------
    bucket : TelemetryBucket
    backend : Backend
    remaining_s : callable
        Seconds that are left of the invocation.
    log : Logger
    """

    def __init__(
        self, bucket: TelemetryBucket, backend: Backend, remaining_s: Callable[[], float], log: Logger
    ) -> None:
        self._bucket, self._backend, self._remaining_s, self._log = bucket, backend, remaining_s, log
        self._strikes = dict.fromkeys(Signal, 0)
        backend.drop_connections()
        self.fault: ConfigError | None = None

    @property
    def can_go_on(self) -> bool:
        """Whether there is time for another object and a signal that the backend may take."""
        return self._remaining_s() > _MIN_START_S and any(count < _STRIKES for count in self._strikes.values())

    def redrive(self, key: str) -> Outcome:
        """Deliver one object. It is removed when nothing of it waits; whatever is removed was delivered or kept."""
        with TemporaryFile() as file:
            size = self._bucket.fetch(key, file, MAX_OBJECT_BYTES)
            if size is None:
                outcome = Outcome.GONE
            else:
                try:
                    _check(file, size)
                    outcome = self._deliver(key, file)
                except PoisonError as error:
                    kept = self._bucket.set_aside(key)
                    self._log.error(
                        "Telemetry unreadable", object=kept, error_type=error.code, error_message=str(error)
                    )
                    outcome = Outcome.POISON
        instruments().objects.add(1, {"outcome": outcome})
        return outcome

    def _deliver(self, key: str, file: BinaryIO) -> Outcome:
        with BundleWriter() as rest, BundleWriter() as refused:
            is_changed = False
            for signal, request in read_requests(file):
                is_changed |= self._send(signal, request, rest, refused)
            # in this order: nothing is removed before what must be kept of it is
            if refused.count:
                kept = self._bucket.keep_refused(key, refused.finish())
                self._log.error("Telemetry refused", object=kept, requests=refused.count)
            if not rest.count:
                self._bucket.delete(key)
                return Outcome.DELIVERED
            if is_changed:
                self._bucket.keep_rest(key, rest.finish())
            return Outcome.WAITING

    def _send(self, signal: Signal, request: bytes, rest: BundleWriter, refused: BundleWriter) -> bool:
        """Post a request, in pieces if the backend asks for it; whether any of it has found its end."""
        is_changed = False
        pieces = [request] if request else []
        while pieces:
            piece = pieces.pop()
            answer = self._post(signal, piece)
            halves = split(piece) if answer.verdict is Verdict.TOO_LARGE else None
            if halves is not None:
                pieces.extend(reversed(halves))
                continue
            match answer.verdict:
                case Verdict.DELIVERED:
                    self._count_delivered(signal, piece, answer)
                case Verdict.REFUSED | Verdict.TOO_LARGE:
                    self._log.warning("Request refused", signal=signal.label, error_message=answer.reason)
                    _count(signal, "refused", count_items(signal, piece))
                    refused.add(signal, piece)
                case _:
                    rest.add(signal, piece)
                    continue
            is_changed = True
        return is_changed

    def _post(self, signal: Signal, request: bytes) -> Answer:
        time_s = min(self._remaining_s() - _RESERVE_S, _MAX_POST_S)
        if self._strikes[signal] >= _STRIKES or time_s < _MIN_POST_S:
            return Answer(Verdict.UNAVAILABLE)
        answer = self._backend.post(signal, request, time_s)
        match answer.verdict:
            case Verdict.LATER:
                self._strikes[signal] += 1
            case Verdict.UNAVAILABLE | Verdict.MISCONFIGURED:
                self._strikes[signal] = _STRIKES
            case _:
                self._strikes[signal] = 0
                return answer
        self._log.warning(
            "Backend takes no telemetry",
            signal=signal.label,
            outcome=answer.verdict.value,
            error_message=answer.reason,
            retry_after_seconds=answer.retry_after_s,
        )
        if answer.verdict is Verdict.MISCONFIGURED:
            self.fault = ConfigError(f"the backend answered {signal.label} with {answer.reason}: check address and key")
        return answer

    def _count_delivered(self, signal: Signal, request: bytes, answer: Answer) -> None:
        rejected = answer.rejected_count
        _count(signal, "delivered", max(count_items(signal, request) - rejected, 0))
        if rejected or answer.reason:
            self._log.warning(
                "Request taken in part", signal=signal.label, rejected=rejected, error_message=answer.reason
            )
            _count(signal, "rejected", rejected)


def _check(file: BinaryIO, size: int) -> None:
    """Read an object to its end before anything of it is sent: it is ours whole or not at all."""
    if size > MAX_OBJECT_BYTES:
        raise PoisonError(f"expected at most {MAX_OBJECT_BYTES} bytes, but the object has {size}")
    for _ in read_requests(file):
        pass


def _count(signal: Signal, outcome: str, items: int) -> None:
    instruments().redriven.add(items, {"signal": signal.label, "outcome": outcome})
