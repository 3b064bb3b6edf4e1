import threading

import pytest

from lambda_local import schedules
from lambda_local.errors import TemplateError
from lambda_local.resources import RuleSpec
from lambda_local.schedules import ScheduleClock, rate_s, scheduled_event


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86400),
        ("cron(0 3 * * ? *)", None),
    ],
)
def test_rate_s_reads_rates_and_leaves_the_rest(expression, seconds):
    assert rate_s(expression) == seconds


@pytest.mark.parametrize("expression", ["hourly", "rate(5)", "rate(5 weeks)", "cron()", ""])
def test_rate_s_refuses_what_is_no_schedule(expression):
    with pytest.raises(TemplateError, match="schedule is"):
        rate_s(expression)


def test_scheduled_event_has_the_shape_of_its_sender():
    rule = RuleSpec("r", "arn:rule", ())
    event = scheduled_event(rule, "123456789012", "eu-west-1")
    assert (event["detail-type"], event["source"], event["detail"]) == ("Scheduled Event", "aws.events", {})
    assert event["resources"] == ["arn:rule"]
    later = scheduled_event(RuleSpec("r", "arn", (), is_scheduler=True), "123456789012", "eu-west-1")
    assert (later["source"], later["detail"]) == ("aws.scheduler", "{}")


def test_clock_fires_enabled_rates_again_and_again(monkeypatch):
    monkeypatch.setitem(schedules._UNIT_S, "minute", 0.02)
    monkeypatch.setitem(schedules._UNIT_S, "hour", 0.05)
    fired, enough = [], threading.Event()

    def fire(rule):
        fired.append(rule.name)
        if fired.count("fast") >= 3 and "slow" in fired:
            enough.set()

    rules = [
        RuleSpec("fast", "a", (), schedule="rate(1 minute)"),
        RuleSpec("slow", "b", (), schedule="rate(1 hour)"),
        RuleSpec("off", "c", (), schedule="rate(1 minute)", is_enabled=False),
        RuleSpec("by hand", "d", (), schedule="cron(0 3 * * ? *)"),
        RuleSpec("pattern", "e", (), pattern={}),
    ]
    clock = ScheduleClock(rules, fire)
    clock.start()
    assert enough.wait(5)
    clock.close()
    count = len(fired)
    assert set(fired) == {"fast", "slow"}
    assert fired[0] == "fast"
    assert len(fired) == count


def test_clock_without_rates_starts_no_thread():
    before = threading.active_count()
    clock = ScheduleClock([], lambda rule: None)
    clock.start()
    assert threading.active_count() == before
    clock.close()
