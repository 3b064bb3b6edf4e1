import threading
import time

import pytest

from lambda_local.errors import ServiceStoppedError, ThrottledError
from lambda_local.pool import ConcurrencyLimits


class Waiting:
    """A thread that waits for room, and what came of it."""

    def __init__(self, limits, function, admitted):
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(limits, function, admitted), daemon=True)
        self._thread.start()
        time.sleep(0.02)  # so that threads line up in the order they were made

    def _run(self, limits, function, admitted):
        try:
            limits.acquire(function, patience_s=None)
            admitted.append(function)
        except ServiceStoppedError as error:
            self.error = error

    def join(self):
        self._thread.join(timeout=5)
        return not self._thread.is_alive()


def test_acquire_throttles_who_will_not_wait_and_says_why():
    limits = ConcurrencyLimits(3, {"a": 1})
    limits.acquire("a", patience_s=0)
    with pytest.raises(ThrottledError) as reserved:
        limits.acquire("a", patience_s=0)
    assert reserved.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    limits.acquire("b", patience_s=0)
    limits.acquire("b", patience_s=0)
    with pytest.raises(ThrottledError) as total:
        limits.acquire("b", patience_s=0)
    assert total.value.reason == "ConcurrentInvocationLimitExceeded"
    limits.release("a")
    limits.acquire("b", patience_s=0)


def test_acquire_admits_those_who_wait_in_order_past_a_full_function():
    limits, admitted = ConcurrencyLimits(2, {"a": 1}), []
    limits.acquire("a", patience_s=None)
    limits.acquire("b", patience_s=None)
    waiting = [Waiting(limits, function, admitted) for function in ("a", "b", "b")]
    assert admitted == []
    limits.release("b")
    assert waiting[1].join()
    assert admitted == ["b"]  # `a` came first, but has no room of its own
    limits.release("a")
    assert waiting[0].join()
    assert admitted == ["b", "a"]
    limits.release("b")
    assert waiting[2].join()


def test_acquire_does_not_let_the_impatient_overtake():
    limits, admitted = ConcurrencyLimits(1, {}), []
    limits.acquire("a", patience_s=None)
    waiting = Waiting(limits, "b", admitted)
    limits.release("a")
    assert waiting.join()
    with pytest.raises(ThrottledError):
        limits.acquire("a", patience_s=0)


def test_reserved_zero_throttles_all():
    limits = ConcurrencyLimits(5, {"off": 0})
    with pytest.raises(ThrottledError):
        limits.acquire("off", patience_s=0)
    assert limits.capacity("off") == 0


def test_close_ends_all_waiting():
    limits = ConcurrencyLimits(1, {})
    limits.acquire("a", patience_s=None)
    waiting = Waiting(limits, "a", [])
    limits.close()
    assert waiting.join()
    assert isinstance(waiting.error, ServiceStoppedError)
