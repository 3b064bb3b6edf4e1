"""SQS: a batch of messages, each linked to the span that sent it; and what the handler says of those that failed."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, get_current_span

from lambda_otel.propagation import parse_xray
from lambda_otel.triggers._trigger import Event, Trigger, known, records, shared


def is_match(event: Event) -> bool:
    """Whether the event is a batch of SQS messages."""
    return records(event, "aws:sqs") is not None


def describe(event: Event) -> Trigger:
    """The processing of a batch. A batch has no parent: its messages may come from many traces."""
    messages = event["Records"]
    queue = shared([message["eventSourceARN"].rsplit(":", 1)[1] for message in messages])
    message_id = messages[0].get("messageId") if len(messages) == 1 else None
    attributes = {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": len(messages),
        "messaging.message.id": message_id,
    }
    links = tuple(link for message in messages if (link := _link(message)))
    name = f"process {queue or 'multiple_sources'}"
    return Trigger("pubsub", SpanKind.CONSUMER, name, known(attributes), links=links, conclude=_conclude)


def _link(message: Any) -> Link | None:
    context = _sender(message)
    return Link(context, known({"messaging.message.id": message.get("messageId")})) if context else None


def _sender(message: Any) -> SpanContext | None:
    """From the message's own attributes, or else from the header the AWS SDK sent it with."""
    own = message.get("messageAttributes") or {}
    carrier = {name.lower(): value["stringValue"] for name, value in own.items() if value.get("stringValue")}
    context = get_current_span(get_global_textmap().extract(carrier)).get_span_context()
    if context.is_valid:
        return context
    return parse_xray((message.get("attributes") or {}).get("AWSTraceHeader", ""))


def _conclude(span: Span, result: Any) -> None:
    """How many messages come again, by `ReportBatchItemFailures`."""
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    if isinstance(failures, list):
        span.set_attribute("lambda_otel.batch.failed_count", len(failures))
