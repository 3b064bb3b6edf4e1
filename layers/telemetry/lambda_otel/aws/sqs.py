"""SQS: the queue on the span, the context in the attributes of every message sent."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, get_current_span

from lambda_otel.aws._service import Fields, Params, Service, text
from lambda_otel.aws.carrier import message_bytes, with_attributes
from lambda_otel.export.drops import Drops

_TYPES = {
    "SendMessage": "send",
    "SendMessageBatch": "send",
    "ReceiveMessage": "receive",
    "DeleteMessage": "settle",
    "DeleteMessageBatch": "settle",
    "ChangeMessageVisibility": "settle",
    "ChangeMessageVisibilityBatch": "settle",
}
_NAMES = {"send": "send", "receive": "receive", "settle": "ack"}


def _describe(operation: str, params: Params) -> dict[str, Any]:
    url, kind, entries = text(params.get("QueueUrl")), _TYPES.get(operation), params.get("Entries")
    if operation.startswith("ChangeMessageVisibility"):
        name: str | None = "nack"
    else:
        name = _NAMES.get(kind or "")
    return {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": kind,
        "messaging.operation.name": name,
        "messaging.destination.name": url.rsplit("/", 1)[-1] if url else None,
        "messaging.batch.message_count": len(entries) if isinstance(entries, list) else None,
        "aws.sqs.queue.url": url,
    }


def _with_context(params: Params, fields: Fields, drops: Drops) -> Params:
    return with_attributes(params, fields, message_bytes(params, "MessageBody"), drops)[0]


def _with_context_in_each(params: Params, fields: Fields, drops: Drops) -> Params:
    entries = params.get("Entries")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return params
    total_bytes = sum(message_bytes(entry, "MessageBody") for entry in entries)
    sent = []
    for entry in entries:
        message, added_bytes = with_attributes(entry, fields, total_bytes, drops)
        total_bytes += added_bytes
        sent.append(message)
    return {**params, "Entries": sent}


def _conclude(span: Span, operation: str, answer: Mapping[str, Any]) -> None:
    if operation == "SendMessage" and (message_id := text(answer.get("MessageId"))):
        span.set_attribute("messaging.message.id", message_id)
    if operation == "ReceiveMessage":
        messages = answer.get("Messages") or []
        span.set_attribute("messaging.batch.message_count", len(messages))
        for message in messages:
            _link(span, message)


def _link(span: Span, message: Mapping[str, Any]) -> None:
    """To the span that sent a message, if the receiver asked for its attributes."""
    own = message.get("MessageAttributes") or {}
    carrier = {name.lower(): value["StringValue"] for name, value in own.items() if value.get("StringValue")}
    sender = get_current_span(extract(carrier, Context())).get_span_context()
    if sender.is_valid:
        span.add_link(sender, {"messaging.message.id": message.get("MessageId", "")})


SERVICE = Service(
    _describe,
    _conclude,
    producers=frozenset({"SendMessage", "SendMessageBatch"}),
    injectors={"SendMessage": _with_context, "SendMessageBatch": _with_context_in_each},
)
