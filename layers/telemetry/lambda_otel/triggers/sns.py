"""SNS: one message an invocation, so its sender is the parent."""

from opentelemetry.trace import SpanKind

from lambda_otel.triggers._trigger import Event, Trigger, known, records


def is_match(event: Event) -> bool:
    """Whether the event is an SNS message."""
    return records(event, "aws:sns") is not None


def describe(event: Event) -> Trigger:
    """The processing of a message."""
    message = event["Records"][0]["Sns"]
    topic = message["TopicArn"].rsplit(":", 1)[1]
    attributes = {
        "messaging.system": "aws.sns",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": topic,
        "messaging.message.id": message.get("MessageId"),
    }
    own = message.get("MessageAttributes") or {}
    carrier = {name.lower(): value["Value"] for name, value in own.items() if value.get("Type") == "String"}
    return Trigger("pubsub", SpanKind.CONSUMER, f"process {topic}", known(attributes), carrier)
