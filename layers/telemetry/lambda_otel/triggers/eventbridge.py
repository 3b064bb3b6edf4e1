"""EventBridge: events on a bus, and schedules."""

from opentelemetry.trace import SpanKind

from lambda_otel.triggers._trigger import Event, Trigger, known

_CONTEXT_FIELDS = ("traceparent", "tracestate", "baggage")


def is_match(event: Event) -> bool:
    """Whether the event came over a bus."""
    return "detail-type" in event and "source" in event


def describe(event: Event) -> Trigger:
    """The processing of an event, or a timer. A sender's context is looked for in the event's detail."""
    if event["detail-type"] == "Scheduled Event" and event["source"] == "aws.events":
        rule = next((arn.rsplit("/", 1)[1] for arn in event.get("resources", ()) if "/" in arn), None)
        attributes = {"faas.time": event.get("time"), "aws.eventbridge.rule": rule}
        return Trigger("timer", attributes=known(attributes))
    attributes = {
        "messaging.system": "aws.eventbridge",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.message.id": event.get("id"),
        "aws.eventbridge.source": event["source"],
        "aws.eventbridge.detail_type": event["detail-type"],
    }
    detail = event.get("detail")
    found = {name: detail.get(name) for name in _CONTEXT_FIELDS} if isinstance(detail, dict) else {}
    carrier = {name: value for name, value in found.items() if isinstance(value, str)}
    return Trigger("pubsub", SpanKind.CONSUMER, f"process {event['detail-type']}", known(attributes), carrier)
