import json
from datetime import UTC, datetime

import pytest

from pipeline.errors import ConfigError
from pipeline.events import decode_failure, decode_objects


def test_decode_objects_reads_a_notification(sample_event):
    (source,) = decode_objects(sample_event("s3-put"))

    assert source.bucket == "neuro-preprocess-raw"
    assert source.key == "sub-01/anat/sub-01_T1w.nii.gz"
    assert source.version_id is None
    assert source.sequencer == "0066A1B2C3D4E5F678"
    assert source.size_bytes == 8912402
    assert source.created_at == datetime(2026, 11, 20, 10, 15, 30, 123000, tzinfo=UTC)
    assert source.source_ip == "203.0.113.7"
    assert source.replay == ""


def test_decode_objects_unquotes_space_plus_and_accents_once(sample_event):
    (source,) = decode_objects(sample_event("s3-put-special-key"))

    assert source.key == "scans of 2026/café + résumé (1).nii.gz"


def test_decode_objects_reads_every_record(sample_event):
    sources = decode_objects(sample_event("s3-put-two-records"))

    assert [source.key for source in sources] == [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz",
    ]


def test_decode_objects_takes_eventbridge_keys_as_they_are(sample_event):
    event = sample_event("eventbridge-object-created")
    event["detail"]["object"]["key"] = "100%25+1.nii.gz"

    (source,) = decode_objects(event)

    assert source.key == "100%25+1.nii.gz"
    assert source.bucket == "our-existing-scans"
    assert source.version_id == "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"


@pytest.mark.parametrize(
    ("name", "key", "version_id"),
    [
        ("s3-multipart", "sub-03/anat/sub-03_T1w.nii", None),
        ("s3-put-versioned", "sub-04/anat/sub-04_T2w.nii.gz", "096fKKXTRTtl3on89fVO.nfljtsv6qko"),
        ("s3-put-upper-case", "SUB-05_T1W.NII.GZ", None),
        ("s3-put-by-conform", "conform/74c3cbc1baa133bdf383687e.nii.gz", None),
    ],
)
def test_decode_objects_reads_sample(sample_event, name, key, version_id):
    (source,) = decode_objects(sample_event(name))

    assert (source.key, source.version_id) == (key, version_id)


@pytest.mark.parametrize("name", ["s3-test-event", "schedule"])
def test_decode_objects_finds_nothing_in_events_without_objects(sample_event, name):
    assert decode_objects(sample_event(name)) == ()


def test_decode_objects_passes_over_removed_objects(sample_event):
    event = sample_event("s3-put-two-records")
    event["Records"][0]["eventName"] = "ObjectRemoved:Delete"

    assert [source.key for source in decode_objects(event)] == ["sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz"]


def test_decode_objects_reads_the_replay_mark(sample_event):
    (source,) = decode_objects(sample_event("s3-put") | {"neuroReplay": "20261125T101530Z"})

    assert source.replay == "20261125T101530Z"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"hello": "world"},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}]},
        {"Records": "none"},
        {"Records": [None]},
        {"detail-type": "Object Created", "detail": {"bucket": "b"}},
    ],
)
def test_decode_objects_refuses_other_events(event):
    with pytest.raises(ConfigError, match="expected"):
        decode_objects(event)


def test_decode_objects_refuses_a_record_without_time(sample_event):
    event = sample_event("s3-put")
    event["Records"][0]["eventTime"] = "yesterday"

    with pytest.raises(ConfigError, match="yesterday"):
        decode_objects(event)


def test_decode_failure_reads_what_lambda_sends(sample_event):
    (message,) = sample_event("sqs-failure")["Records"]

    failed = decode_failure(message)

    assert failed.function_name == "neuro-preprocess-Conform-EXAMPLE"
    assert (failed.condition, failed.attempts) == ("RetriesExhausted", 3)
    assert failed.error_type == "TransientError"
    assert decode_objects(failed.event) == decode_objects(sample_event("s3-put"))


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"requestContext": {"functionArn": "short"}}'])
def test_decode_failure_refuses_other_messages(body):
    with pytest.raises(ConfigError, match="expected a failed invocation"):
        decode_failure({"messageId": "1", "body": body})


def test_decode_failure_bears_a_response_that_is_no_object(sample_event):
    (message,) = sample_event("sqs-failure")["Records"]
    body = json.loads(message["body"]) | {"responsePayload": "Task timed out after 120.00 seconds"}

    assert decode_failure({"body": json.dumps(body)}).error_type == "Unknown"


def test_decode_objects_bears_a_record_without_request_and_size(sample_event):
    event = sample_event("s3-put")
    event["Records"][0]["requestParameters"] = None
    del event["Records"][0]["s3"]["object"]["size"]

    (source,) = decode_objects(event)

    assert (source.source_ip, source.size_bytes) == (None, None)
