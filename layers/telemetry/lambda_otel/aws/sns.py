"""SNS: the topic on the span, the context in the attributes of every message published to one.

A message to a phone gets none: nobody there reads it, and its number is on no span.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from lambda_otel.aws._service import Fields, Params, Service, text
from lambda_otel.aws.carrier import message_bytes, with_attributes
from lambda_otel.export.drops import Drops

_SENDING = frozenset({"Publish", "PublishBatch"})
_ENTRIES = "PublishBatchRequestEntries"


def _describe(operation: str, params: Params) -> dict[str, Any]:
    arn, entries = text(params.get("TopicArn")) or text(params.get("TargetArn")), params.get(_ENTRIES)
    sending = "send" if operation in _SENDING else None
    return {
        "messaging.system": "aws.sns",
        "messaging.operation.type": sending,
        "messaging.operation.name": "publish" if sending else None,
        "messaging.destination.name": arn.rsplit(":", 1)[-1] if arn else None,
        "messaging.batch.message_count": len(entries) if isinstance(entries, list) else None,
        "aws.sns.topic.arn": text(params.get("TopicArn")),
    }


def _with_context(params: Params, fields: Fields, drops: Drops) -> Params:
    if "TopicArn" not in params and "TargetArn" not in params:
        return params
    return with_attributes(params, fields, message_bytes(params, "Message"), drops)[0]


def _with_context_in_each(params: Params, fields: Fields, drops: Drops) -> Params:
    entries = params.get(_ENTRIES)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return params
    total_bytes = sum(message_bytes(entry, "Message") for entry in entries)
    sent = []
    for entry in entries:
        message, added_bytes = with_attributes(entry, fields, total_bytes, drops)
        total_bytes += added_bytes
        sent.append(message)
    return {**params, _ENTRIES: sent}


def _conclude(span: Span, operation: str, answer: Mapping[str, Any]) -> None:
    if operation == "Publish" and (message_id := text(answer.get("MessageId"))):
        span.set_attribute("messaging.message.id", message_id)


SERVICE = Service(
    _describe,
    _conclude,
    producers=_SENDING,
    injectors={"Publish": _with_context, "PublishBatch": _with_context_in_each},
)
