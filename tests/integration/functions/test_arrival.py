"""The telemetry layer's event-context hook: the parent is in the object's metadata, and the object is opened once."""

from copy import deepcopy

import pytest
from opentelemetry import trace

from conform.app import handler as conform
from pipeline import storage
from pipeline.arrival import context_of

RAW, KEY = "neuro-preprocess-raw", "sub-01/anat/sub-01_T1w.nii.gz"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
def event(sample_event):
    return sample_event("s3-put")


@pytest.fixture
def opened(cloud, monkeypatch):
    """Keys of the objects that were asked for."""
    keys: list[str] = []
    asked = storage.Storage.open

    def open_and_note(self, bucket, key, version_id=None):
        keys.append(key)
        return asked(self, bucket, key, version_id)

    monkeypatch.setattr(storage.Storage, "open", open_and_note)
    return keys


def test_context_of_is_what_the_object_carries(cloud, event, small_scan):
    cloud.put(RAW, KEY, small_scan, traceparent=TRACEPARENT, baggage="experiment=new")

    context = context_of(event, None)

    assert trace.format_trace_id(trace.get_current_span(context).get_span_context().trace_id) == TRACE_ID


def test_context_of_opens_the_object_for_the_stage(cloud, opened, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan, traceparent=TRACEPARENT)

    context_of(event, lambda_context)
    answer = conform(event, lambda_context)

    assert answer["objects"][0]["outcome"] == "ok"
    assert opened == [KEY]


def test_context_of_keeps_nothing_for_another_invocation(cloud, opened, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)

    context_of(event, lambda_context)  # a handler that fails before it takes the object
    context_of({"Records": []}, lambda_context)
    conform(event, lambda_context)

    assert opened == [KEY, KEY]


def test_context_of_a_missing_object_leaves_the_fault_to_the_stage(cloud, opened, event, lambda_context):
    assert context_of(event, lambda_context) is None

    assert conform(event, lambda_context)["objects"][0]["outcome"] == "rejected"
    assert opened == [KEY]


def test_context_of_several_objects_is_none(cloud, opened, event):
    event["Records"].append(deepcopy(event["Records"][0]))

    assert context_of(event, None) is None
    assert opened == []


@pytest.mark.parametrize(
    "other", [{}, {"Event": "s3:TestEvent"}, {"Records": [{"eventSource": "aws:sqs"}]}, {"Records": 3}]
)
def test_context_of_other_events_is_none(cloud, other):
    assert context_of(other, None) is None


def test_context_of_does_not_open_companions(cloud, opened, event):
    event["Records"][0]["s3"]["object"]["key"] = "sub-01/anat/sub-01_T1w.json"

    assert context_of(event, None) is None
    assert opened == []
