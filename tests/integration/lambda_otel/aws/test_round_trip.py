"""What a request carries is what the invocation that it leads to finds: over moto, and the layer's own triggers."""

import json

import boto3
import pytest
from opentelemetry import baggage, propagate
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import get_current_span

from lambda_otel.triggers import trigger_of


@pytest.fixture(autouse=True)
def _baggage(moto):
    token = attach(baggage.set_baggage("user.tier", "gold class"))
    yield
    detach(token)


def ids(context):
    return context.trace_id, context.span_id


def sender(ended, name):
    (span,) = [span for span in ended.get_finished_spans() if span.name == name]
    return ids(span.context)


def found_in(carrier):
    context = propagate.extract(carrier, Context())
    return ids(get_current_span(context).get_span_context()), dict(baggage.get_all(context))


def sqs_event(queue, messages):
    """What Lambda makes of messages, which spells their attributes in its own way."""
    records = [
        {
            "messageId": message["MessageId"],
            "body": message["Body"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                for name, value in message.get("MessageAttributes", {}).items()
            },
        }
        for message in messages
    ]
    return {"Records": records}


def make_queue(sqs, name="jobs"):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(sqs, url):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]


def test_object_tells_who_wrote_it(tracer, ended):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="scans", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    with tracer.start_as_current_span("writer"):
        s3.put_object(Bucket="scans", Key="k", Body=b"x")
    metadata = s3.get_object(Bucket="scans", Key="k")["Metadata"]

    assert found_in(metadata) == (sender(ended, "S3.PutObject"), {"user.tier": "gold class"})
    (get,) = [span for span in ended.get_finished_spans() if span.name == "S3.GetObject"]
    assert [ids(link.context) for link in get.links] == [sender(ended, "S3.PutObject")]


def test_copy_tells_who_wrote_its_source_unless_it_has_metadata_of_its_own(tracer, ended):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="scans", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="scans", Key="k", Body=b"x")
    source = {"Bucket": "scans", "Key": "k"}

    s3.copy_object(Bucket="scans", Key="copy", CopySource=source)
    kept = s3.head_object(Bucket="scans", Key="copy")["Metadata"]
    s3.copy_object(Bucket="scans", Key="own", CopySource=source, MetadataDirective="REPLACE", Metadata={"a": "b"})
    replaced = s3.head_object(Bucket="scans", Key="own")["Metadata"]

    copies = [ids(span.context) for span in ended.get_finished_spans() if span.name == "S3.CopyObject"]
    assert found_in(kept)[0] == sender(ended, "S3.PutObject")
    assert found_in(replaced)[0] == copies[1]
    assert replaced["a"] == "b"


def test_reader_in_the_same_trace_needs_no_link(tracer, ended):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="scans", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    with tracer.start_as_current_span("both"):
        s3.put_object(Bucket="scans", Key="k", Body=b"x")
        s3.get_object(Bucket="scans", Key="k")

    assert [len(span.links) for span in ended.get_finished_spans() if span.name == "S3.GetObject"] == [0]


def test_messages_are_linked_to_who_sent_them(tracer, ended):
    sqs = boto3.client("sqs")
    url, _ = make_queue(sqs)
    sqs.send_message(QueueUrl=url, MessageBody="one")
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "two"}, {"Id": "2", "MessageBody": "3"}])

    messages = receive(sqs, url)
    trigger = trigger_of(sqs_event("jobs", messages))

    senders = {sender(ended, "SQS.SendMessage"), sender(ended, "SQS.SendMessageBatch")}
    assert len(trigger.links) == 3
    assert {ids(link.context) for link in trigger.links} == senders
    (poll,) = [span for span in ended.get_finished_spans() if span.name == "SQS.ReceiveMessage"]
    assert {ids(link.context) for link in poll.links} == senders
    assert poll.attributes["messaging.batch.message_count"] == 3


@pytest.mark.parametrize("is_batch", [False, True])
def test_publication_is_the_parent_of_what_it_invokes(tracer, ended, is_batch):
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="news")["TopicArn"]
    url, arn = make_queue(sqs)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    if is_batch:
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[{"Id": "1", "Message": "m"}])
    else:
        sns.publish(TopicArn=topic, Message="m")
    # SNS sends to a queue what it sends to a function, in the body
    notification = json.loads(receive(sqs, url)[0]["Body"])
    trigger = trigger_of({"Records": [{"EventSource": "aws:sns", "Sns": notification}]})

    name = "SNS.PublishBatch" if is_batch else "SNS.Publish"
    assert found_in(trigger.carrier) == (sender(ended, name), {"user.tier": "gold class"})


def test_raw_delivery_to_a_queue_is_a_link(tracer, ended):
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="news")["TopicArn"]
    url, arn = make_queue(sqs)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})

    sns.publish(TopicArn=topic, Message="m")
    trigger = trigger_of(sqs_event("jobs", receive(sqs, url)))

    assert [ids(link.context) for link in trigger.links] == [sender(ended, "SNS.Publish")]


def test_event_on_a_bus_is_the_parent_of_what_it_invokes(tracer, ended):
    events = boto3.client("events")
    taken = []  # as the bus takes it: moto's targets need more packages than this is worth
    events.meta.events.register("before-call.events.PutEvents", lambda params, **_: taken.append(params["body"]))

    events.put_events(Entries=[{"Source": "app", "DetailType": "Scan done", "Detail": json.dumps({"n": 1})}])
    (entry,) = json.loads(taken[0])["Entries"]
    event = {"id": "e", "source": entry["Source"], "detail-type": entry["DetailType"]}
    trigger = trigger_of({**event, "detail": json.loads(entry["Detail"])})

    assert found_in(trigger.carrier) == (sender(ended, "EventBridge.PutEvents"), {"user.tier": "gold class"})
    assert json.loads(entry["Detail"])["n"] == 1
