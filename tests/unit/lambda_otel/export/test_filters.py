import hashlib
import hmac

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext

from lambda_otel.export.filters import make_filters
from lambda_otel.otlp.traces import encode_spans

CONTEXT = SpanContext(1, 2, is_remote=False)


def span(attributes, events=(), links=()):
    return ReadableSpan(
        "s", CONTEXT, resource=Resource({}), attributes=attributes, events=list(events), links=list(links)
    )


def filtered(text, attributes, salt="salt"):
    (result,) = make_filters(text, salt).spans([span(attributes)])
    return dict(result.attributes)


def digest_of(text, salt="salt"):
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()[:16]


def test_drop_hash_and_truncate_do_what_they_say():
    text = "drop:user_id, hash:enduser.id, truncate:db.statement:6"
    attributes = {"user_id": "u", "enduser.id": "jo", "db.statement": "select *", "other": 1}

    assert filtered(text, attributes) == {"enduser.id": digest_of("jo"), "db.statement": "select", "other": 1}


def test_star_is_of_all_that_begin_so_and_no_others():
    attributes = {"http.a": 1, "http.": 2, "http": 3, "x.http.a": 4}

    assert filtered("drop:http.*", attributes) == {"http": 3, "x.http.a": 4}
    assert filtered("drop:*", attributes) == {}


def test_rules_are_applied_in_order_until_one_drops():
    assert filtered("truncate:a:1,hash:a", {"a": "xyz"}) == {"a": digest_of("x")}
    assert filtered("hash:a,drop:a*", {"a": "xyz"}) == {}


def test_values_that_are_no_text_are_hashed_as_text_and_lists_one_by_one():
    assert filtered("hash:*", {"n": 7, "l": ("a", "b")}) == {"n": digest_of("7"), "l": (digest_of("a"), digest_of("b"))}


def test_truncate_leaves_numbers_and_cuts_every_text_of_a_list():
    assert filtered("truncate:*:2", {"n": 12345, "l": ("abc", "d")}) == {"n": 12345, "l": ("ab", "d")}


def test_hash_depends_on_the_salt():
    assert filtered("hash:a", {"a": "x"}, "one") != filtered("hash:a", {"a": "x"}, "two")


def test_hash_without_a_salt_is_warned_of_once(caplog):
    make_filters("hash:a,hash:b", "")

    assert len(caplog.records) == 1
    assert "OTEL_LAMBDA_HASH_SALT" in caplog.text


@pytest.mark.parametrize("rule", ["user_id", "drop:", "keep:a", "truncate:a", "truncate:a:x", "truncate::3", "hash:"])
def test_rule_that_cannot_be_read_is_named_and_the_others_hold(rule, caplog):
    assert filtered(f"{rule},drop:b", {"a": "xyz", "b": 1}) == {"a": "xyz"}
    assert f"`{rule}`" in caplog.text


def test_filters_without_a_rule_are_none():
    assert make_filters(" , ", "") is None


def test_span_that_no_rule_is_for_is_not_copied():
    spans = [span({"a": 1}), span(None)]

    assert all(a is b for a, b in zip(make_filters("drop:b", "").spans(spans), spans, strict=True))


def test_original_is_left_as_it_was_with_events_and_links():
    original = span({"a": 1}, [Event("e", {"a": 1, "b": 2}, 5), Event("f", {}, 6)], [Link(CONTEXT, {"a": 1})])

    (copy,) = make_filters("drop:a", "").spans([original])

    assert [dict(event.attributes) for event in copy.events] == [{"b": 2}, {}]
    assert [(event.name, event.timestamp) for event in copy.events] == [("e", 5), ("f", 6)]
    assert [dict(link.attributes) for link in copy.links] == [{}]
    assert dict(original.attributes) == {"a": 1}
    assert dict(original.events[0].attributes) == {"a": 1, "b": 2}
    assert (copy.name, copy.context, copy.resource) == (original.name, original.context, original.resource)


def test_counts_of_what_the_sdk_dropped_stay():
    attributes = BoundedAttributes(2, {"a": 1, "b": 2, "c": 3}, immutable=True)
    original = ReadableSpan("s", CONTEXT, resource=Resource({}), attributes=attributes)
    original._events = BoundedList.from_seq(1, [Event("e", {"b": 1}), Event("f", {"b": 1})])

    (copy,) = make_filters("drop:b", "").spans([original])

    assert (copy.dropped_attributes, copy.dropped_events) == (1, 1)
    assert encode_spans([copy])[1].items == 0


def test_open_span_can_be_filtered_and_goes_on():
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    running = provider.get_tracer("t").start_span("s", attributes={"a": 1, "b": 2})

    (copy,) = make_filters("drop:a", "").spans([running])
    running.set_attribute("c", 3)

    assert dict(copy.attributes) == {"b": 2}
    assert dict(running.attributes) == {"a": 1, "b": 2, "c": 3}
    running.end()


def test_log_records_are_filtered_and_their_bodies_are_not():
    record = LogRecord(body="a=1", attributes={"a": 1, "b": 2, "none": None}, timestamp=1, observed_timestamp=2)
    readable = ReadableLogRecord(record, Resource({}))

    (copy,) = make_filters("drop:a", "").records([readable])

    assert dict(copy.log_record.attributes) == {"b": 2, "none": None}
    assert (copy.log_record.body, copy.log_record.timestamp) == ("a=1", 1)
    assert dict(readable.log_record.attributes) == {"a": 1, "b": 2, "none": None}


def test_value_that_cannot_be_hashed_does_not_leave():
    class Hostile:
        def __str__(self):
            raise RuntimeError("no")

    record = ReadableLogRecord(LogRecord(attributes={"a": Hostile(), "b": 1}), Resource({}))

    (copy,) = make_filters("hash:a", "s").records([record])

    assert dict(copy.log_record.attributes) == {"b": 1}
