"""Faults on purpose: make chosen S3 requests fail as S3, or the network before it, does."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class S3Request:
    """A request as a fault's condition sees it.

    Attributes
    ----------
    method : str
    bucket, key : str
        The key decoded; empty for requests of a bucket.
    query : mapping of str to str
        `uploadId`, `partNumber`, `list-type` and the like.
    caller : str
        Access key id: the name of the function that asks, or what a client outside was given.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str] = field(default_factory=dict)
    caller: str = ""


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes
    ----------
    status, code : int, str
        The error that is answered; status 0: the connection is reset instead.
    hang_s : float
        How long nothing happens before that.
    is_after_effect : bool
        The request takes effect first, and only its answer is lost.
    """

    status: int
    code: str
    hang_s: float = 0.0
    is_after_effect: bool = False


SLOW_DOWN = Fault(503, "SlowDown")
INTERNAL_ERROR = Fault(500, "InternalError")
ACCESS_DENIED = Fault(403, "AccessDenied")
RESET = Fault(0, "")
RESET_AFTER_EFFECT = Fault(0, "", is_after_effect=True)


def hang(seconds: float) -> Fault:
    """No answer for some time, then a reset connection."""
    return Fault(0, "", hang_s=seconds)


@dataclass(eq=False)
class ActiveFault:
    """A fault that was added. `hits` counts the requests it met; `remove` of `Faults` ends it."""

    fault: Fault
    where: Callable[[S3Request], bool]
    fraction: float
    times: int | None
    hits: int = 0


class Faults:
    """The faults of one S3 endpoint.

    Parameters
    ----------
    seed : int
        Of the choice that `fraction` makes.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._active: list[ActiveFault] = []
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        *,
        where: Callable[[S3Request], bool] = lambda _: True,
        times: int | None = None,
        fraction: float = 1.0,
    ) -> ActiveFault:
        """Let requests fail.

        Parameters
        ----------
        fault : Fault
        where : callable
            Which requests.
        times : int, optional
            How many of them; None: all from now on.
        fraction : float
            Of those that could fail, the part that does, chosen at random.
        """
        active = ActiveFault(fault, where, fraction, times)
        with self._lock:
            self._active.append(active)
        return active

    def remove(self, active: ActiveFault) -> None:
        """End a fault."""
        with self._lock:
            if active in self._active:
                self._active.remove(active)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._active.clear()

    def chosen(self, request: S3Request) -> Fault | None:
        """The fault that a request meets, if any."""
        with self._lock:
            for active in self._active:
                is_left = active.times is None or active.hits < active.times
                if is_left and active.where(request) and self._random.random() < active.fraction:
                    active.hits += 1
                    return active.fault
        return None
