"""SIGTERM in the middle of an invocation: Lambda ends the process, after a timeout or to reset the environment.

What was recorded is exported first, and the spans that are open end with an error. Only a running invocation is
guarded: between invocations Python may be in the runtime's client, where no handler of ours would run, and SIGTERM has
to end the process. The function's own handler is called afterwards, if it has one.

`_signal` is what `signal` is made of; taken by itself it is half a millisecond less of a cold start.
"""

import _signal  # type: ignore[import-not-found]
import os
import threading
from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import Status, StatusCode

_LONGEST_S = 0.3  # of what Lambda leaves the process, before it kills it


class TerminationGuard:
    """Calls a function on SIGTERM, before the process ends.

    Parameters
    ----------
    rescue : callable
    """

    def __init__(self, rescue: Callable[[], None]) -> None:
        self._rescue = rescue
        self._before: Any = None
        self._is_armed = False

    def arm(self) -> None:
        """An invocation begins. Only the main thread can be guarded."""
        if threading.current_thread() is threading.main_thread() and not self._is_armed:
            self._before = _signal.signal(_signal.SIGTERM, self._handle)
            self._is_armed = True

    def disarm(self) -> None:
        """The invocation is over: what was before is again, unless the function has set a handler meanwhile."""
        if self._is_armed and threading.current_thread() is threading.main_thread():
            self._is_armed = False
            if _signal.getsignal(_signal.SIGTERM) == self._handle:
                _signal.signal(_signal.SIGTERM, self._before)

    def _handle(self, signal: int, frame: Any) -> None:
        # the interrupted code may hold a lock that the rescue needs: then the alarm ends what SIGTERM was to end
        on_alarm = _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
        timer = _signal.setitimer(_signal.ITIMER_REAL, _LONGEST_S)
        self._rescue()
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        if on_alarm is not None:
            _signal.signal(_signal.SIGALRM, on_alarm)
        _signal.setitimer(_signal.ITIMER_REAL, *timer)
        self.disarm()
        if callable(self._before):
            self._before(signal, frame)
        elif self._before != _signal.SIG_IGN:
            os.kill(os.getpid(), signal)


def cut_off(span: Span) -> ReadableSpan:
    """An open span as it would be if it had ended now, with an error. The span's own locks are not needed."""
    ended = Span._readable_span(span)  # a copy, whatever the span makes of itself when it ends
    ended._end_time = time_ns()
    ended._status = Status(StatusCode.ERROR, "the process was ended before this was")
    ended._attributes = {**dict(span.attributes or {}), "error.type": "timeout"}
    return ended
