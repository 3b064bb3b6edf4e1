import json
import threading
import time

import pytest

from lambda_local.activity import Activity
from lambda_local.environment import Answer
from lambda_local.events import MessageQueued, Outcome
from lambda_local.queues import Queue, failed_messages, sqs_record
from lambda_local.resources import QueueSpec, RedriveSpec

ARN = "arn:aws:sqs:us-east-1:123456789012:work"


@pytest.fixture
def make_queue():
    def make(*, visibility_timeout_s=60.0, max_receive_count=None, time_scale=1.0, dead=None, told=None):
        redrive = None if max_receive_count is None else RedriveSpec("arn:dead", max_receive_count)
        activity = Activity()
        queue = Queue(
            QueueSpec("work", ARN, "url", visibility_timeout_s, redrive),
            activity=activity,
            send_dead=None if dead is None else dead.append,
            publish=(told if told is not None else []).append,
            time_scale=time_scale,
        )
        return queue, activity

    return make


def test_receive_hides_a_message_until_it_is_released(make_queue):
    queue, activity = make_queue(visibility_timeout_s=60, time_scale=0.0005)
    queue.send("one")
    (message,) = queue.receive(10)
    assert queue.receive(10, wait_s=0) == []
    queue.release([message])
    assert queue.receive(10, wait_s=0) == []
    (again,) = queue.receive(10, wait_s=2)
    assert (again.message_id, again.receive_count) == (message.message_id, 2)
    assert activity.count == 1
    queue.delete([again])
    assert activity.count == 0
    assert queue.messages() == ()


def test_receive_takes_at_most_a_batch_in_order(make_queue):
    queue, _ = make_queue()
    for number in range(5):
        queue.send(str(number))
    assert [message.body for message in queue.receive(3)] == ["0", "1", "2"]
    assert [message.body for message in queue.receive(3)] == ["3", "4"]


def test_receive_waits_for_the_first_message_and_for_the_window(make_queue):
    queue, _ = make_queue()

    def send_two():
        queue.send("a")
        time.sleep(0.05)
        queue.send("b")

    sender = threading.Thread(target=send_two)
    sender.start()
    batch = queue.receive(2, wait_s=5, window_s=5)
    sender.join()
    assert [message.body for message in batch] == ["a", "b"]


def test_receive_ends_when_the_queue_is_closed(make_queue):
    queue, _ = make_queue()
    threading.Timer(0.05, queue.close).start()
    assert queue.receive(1) == []


def test_release_sends_a_message_to_the_dead_after_its_last_time(make_queue):
    dead = []
    queue, activity = make_queue(visibility_timeout_s=0, max_receive_count=2, dead=dead)
    queue.send("poison")
    queue.release(queue.receive(1))
    assert dead == []
    queue.release(queue.receive(1, wait_s=1))
    assert dead == ["poison"]
    assert (queue.messages(), activity.count) == ((), 0)


def test_send_tells_of_the_message(make_queue):
    told = []
    queue, _ = make_queue(told=told)
    message_id = queue.send("text")
    assert told == [MessageQueued("work", message_id, "text")]


def test_sqs_record_has_lambdas_fields(make_queue):
    queue, _ = make_queue()
    message_id = queue.send("hello")
    (message,) = queue.receive(1)
    record = sqs_record(message, ARN, "eu-west-1")
    assert (record["messageId"], record["body"]) == (message_id, "hello")
    assert record["md5OfBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", ARN, "eu-west-1")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["receiptHandle"]


@pytest.mark.parametrize(
    ("outcome", "payload", "reports", "failed"),
    [
        (Outcome.ERROR, {}, True, [0, 1]),
        (Outcome.TIMEOUT, {}, False, [0, 1]),
        (Outcome.OK, {"batchItemFailures": [{"itemIdentifier": 1}]}, False, []),
        (Outcome.OK, None, True, []),
        (Outcome.OK, {}, True, []),
        (Outcome.OK, {"batchItemFailures": None}, True, []),
        (Outcome.OK, {"batchItemFailures": []}, True, []),
        (Outcome.OK, {"batchItemFailures": [{"itemIdentifier": 1}]}, True, [1]),
        (Outcome.OK, {"batchItemFailures": [{"itemIdentifier": "unknown"}]}, True, [0, 1]),
        (Outcome.OK, {"batchItemFailures": [{"itemIdentifier": ""}]}, True, [0, 1]),
        (Outcome.OK, {"batchItemFailures": [{"id": 1}]}, True, [0, 1]),
        (Outcome.OK, {"batchItemFailures": "all"}, True, [0, 1]),
        (Outcome.OK, ["unexpected"], True, [0, 1]),
    ],
)
def test_failed_messages_reads_the_answer_as_lambda_does(make_queue, outcome, payload, reports, failed):
    queue, _ = make_queue()
    queue.send("a")
    queue.send("b")
    batch = queue.receive(2)
    text = json.dumps(payload).replace('"itemIdentifier": 1', f'"itemIdentifier": "{batch[1].message_id}"')
    answer = Answer(outcome, text.encode())
    assert failed_messages(batch, answer, reports_item_failures=reports) == [batch[number] for number in failed]
