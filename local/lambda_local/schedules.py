"""Schedules: the clock that fires `rate(...)` expressions, and the events they make."""

import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from lambda_local.errors import TemplateError
from lambda_local.resources import RuleSpec

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNIT_S = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}


def rate_s(expression: str) -> float | None:
    """Seconds between two times of a `rate(...)`; None for a `cron(...)` or `at(...)`, whose times are not kept
    locally.

    Raises
    ------
    TemplateError
        It is neither.
    """
    match = _RATE.fullmatch(expression)
    if match:
        return int(match.group(1)) * _UNIT_S[match.group(2)]
    if re.fullmatch(r"(cron|at)\(.+\)", expression):
        return None
    raise TemplateError(f"schedule is `{expression}`; expected `rate(...)` or `cron(...)`")


def scheduled_event(rule: RuleSpec, account_id: str, region: str) -> dict[str, Any]:
    """What the targets of a schedule get."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler" if rule.is_scheduler else "aws.events",
        "account": account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [rule.arn],
        # EventBridge Scheduler sends the text of an empty object, a rule the object.
        "detail": "{}" if rule.is_scheduler else {},
    }


class ScheduleClock:
    """Fires the rules that have a rate, from a thread of its own.

    Parameters
    ----------
    rules : iterable of RuleSpec
    fire : callable
        Called with each rule at each of its times; the first time is one period after the start.
    """

    def __init__(self, rules: Iterable[RuleSpec], fire: Callable[[RuleSpec], None]) -> None:
        self._fire = fire
        self._periods_s = [
            (rule, period_s)
            for rule in rules
            if rule.is_enabled and rule.schedule is not None and (period_s := rate_s(rule.schedule)) is not None
        ]
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="lambda-local-schedules", daemon=True)

    def start(self) -> None:
        """Begin, unless there is nothing to fire."""
        if self._periods_s:
            self._thread.start()

    def close(self) -> None:
        """Fire no more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        started = time.monotonic()
        due = [(started + period_s, rule, period_s) for rule, period_s in self._periods_s]
        while True:
            due.sort(key=lambda item: item[0])
            at, rule, period_s = due[0]
            with self._condition:
                if self._condition.wait_for(lambda: self._is_closed, max(0.0, at - time.monotonic())):
                    return
            self._fire(rule)
            due[0] = (at + period_s, rule, period_s)
