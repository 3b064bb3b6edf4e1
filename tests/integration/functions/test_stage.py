"""The boundary of a stage, with conform as the stage: fates, idempotence, trace, counts, logs."""

import json
from copy import deepcopy
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from conform.app import handler as conform
from pipeline import keys, storage
from pipeline.errors import ConfigError, TransientError
from pipeline.events import decode_objects
from pipeline.stage import stage_handler

RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"
KEY = "sub-01/anat/sub-01_T1w.nii.gz"
RUN = "74c3cbc1baa133bdf383687e"
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.fixture
def event(sample_event):
    return sample_event("s3-put")


def test_stage_stores_output_and_record(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)

    answer = conform(event, lambda_context)

    assert answer == {"stage": "conform", "objects": [{"run_id": RUN, "file_path": KEY, "outcome": "ok"}]}
    assert cloud.keys(WORK) == [f"conform/{RUN}.json", f"conform/{RUN}.nii.gz"]
    record = cloud.json(WORK, f"conform/{RUN}.json")
    assert (record["run_id"], record["bucket"], record["key"], record["contrast"]) == (RUN, RAW, KEY, "T1w")
    assert record["facts"]["conform"]["source_shape"] == [7, 8, 9]
    assert record["seconds"]["conform"] >= 0


def test_stage_run_twice_stores_once(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)
    conform(event, lambda_context)
    first = cloud.client.head_object(Bucket=WORK, Key=f"conform/{RUN}.nii.gz")

    answer = conform(event, lambda_context)

    second = cloud.client.head_object(Bucket=WORK, Key=f"conform/{RUN}.nii.gz")
    assert answer["objects"][0]["outcome"] == "skipped"
    assert (first["LastModified"], first["Metadata"]) == (second["LastModified"], second["Metadata"])


def test_stage_finishes_what_a_killed_twin_began(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)
    conform(event, lambda_context)
    cloud.client.delete_object(Bucket=WORK, Key=f"conform/{RUN}.nii.gz")  # killed between record and output

    assert conform(event, lambda_context)["objects"][0]["outcome"] == "ok"
    assert f"conform/{RUN}.nii.gz" in cloud.keys(WORK)


def test_stage_answers_a_broken_scan_with_an_error_file(cloud, telemetry, event, lambda_context):
    cloud.put(RAW, KEY, b"\x89PNG\r\n\x1a\n" + bytes(1000))

    answer = conform(event, lambda_context)

    assert answer["objects"][0]["outcome"] == "rejected"
    assert cloud.keys(WORK) == []
    report = cloud.json(DERIVATIVES, f"errors/{RUN}.error.json")
    assert (report["code"], report["stage"], report["scan"]) == ("NOT_NIFTI", "conform", KEY)
    assert "PNG" in report["message"]
    (span,) = telemetry.spans("preprocess_file")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "NOT_NIFTI"
    assert span.attributes["pipeline.status"] == "failed"


def test_stage_counts_a_broken_scan_once_however_often_its_event_comes(cloud, telemetry, event, lambda_context):
    cloud.put(RAW, KEY, b"not a scan")

    for _ in range(3):
        conform(event, lambda_context)

    assert telemetry.total("neuro.files.processed") == telemetry.total("neuro.files.failed") == 1
    processed = {attributes for (name, attributes) in telemetry.counts() if name == "neuro.files.processed"}
    failed = {attributes for (name, attributes) in telemetry.counts() if name == "neuro.files.failed"}
    assert processed == failed, "a ratio of the two needs equal labels"


def test_stage_processes_every_record_whatever_becomes_of_the_others(
    cloud, telemetry, sample_event, lambda_context, small_scan
):
    event = sample_event("s3-put-two-records")
    second = keys.run_id(decode_objects(event)[1])
    cloud.put(RAW, KEY, b"not a scan")
    cloud.put(RAW, "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz", small_scan)

    answer = conform(event, lambda_context)

    assert [entry["outcome"] for entry in answer["objects"]] == ["rejected", "ok"]
    assert f"conform/{second}.nii.gz" in cloud.keys(WORK)


def test_stage_raises_what_lambda_is_to_retry_after_the_other_records(
    cloud, telemetry, sample_event, lambda_context, small_scan
):
    seen = []

    def process(run):
        seen.append(run.source.key)
        if run.source.key == KEY:
            raise TransientError("S3 answered `SlowDown`")

    cloud.put(RAW, KEY, small_scan)
    cloud.put(RAW, "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz", small_scan)

    with pytest.raises(TransientError):
        stage_handler("conform", process)(sample_event("s3-put-two-records"), lambda_context)

    assert len(seen) == 2
    assert cloud.keys(DERIVATIVES) == []
    assert telemetry.total("neuro.files.failed") == 0, "not failed yet: it will be retried"
    statuses = [span.status.status_code for span in telemetry.spans("preprocess_file")]
    assert statuses == [StatusCode.ERROR, StatusCode.UNSET]


def test_stage_answers_a_vanished_upload_with_an_error_file(cloud, telemetry, event, lambda_context):
    assert conform(event, lambda_context)["objects"][0]["outcome"] == "rejected"
    assert cloud.json(DERIVATIVES, f"errors/{RUN}.error.json")["code"] == "VANISHED"


def test_stage_raises_when_a_work_object_has_vanished(cloud, telemetry, sample_event, lambda_context):
    with pytest.raises(Exception, match="does not exist") as raised:
        stage_handler("skull_strip", lambda run: None)(sample_event("s3-put-by-conform"), lambda_context)

    assert raised.value.code == "object_missing"


def test_stage_raises_when_its_bucket_is_not_there(cloud, telemetry, event, lambda_context):
    event["Records"][0]["s3"]["bucket"]["name"] = "no-such-bucket"

    with pytest.raises(ConfigError, match="NoSuchBucket"):
        conform(event, lambda_context)


@pytest.mark.parametrize("name", ["s3-test-event", "schedule"])
def test_stage_does_nothing_for_events_without_objects(cloud, telemetry, sample_event, lambda_context, name):
    assert conform(sample_event(name), lambda_context) == {"stage": "conform", "objects": []}


def test_stage_leaves_companions_alone(cloud, telemetry, sample_event, lambda_context):
    assert conform(sample_event("s3-put-companion"), lambda_context)["objects"][0]["outcome"] == "ignored"
    assert cloud.keys(DERIVATIVES) == cloud.keys(WORK) == telemetry.spans() == []


def test_stage_refuses_a_scan_too_large_for_its_memory_before_it_is_read(
    cloud, telemetry, event, lambda_context, small_scan, monkeypatch
):
    from pipeline import config

    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "64")
    config.settings.cache_clear()
    cloud.put(RAW, KEY, small_scan)

    assert conform(event, lambda_context)["objects"][0]["outcome"] == "rejected"
    assert cloud.json(DERIVATIVES, f"errors/{RUN}.error.json")["code"] == "TOO_LARGE"


def test_stage_continues_the_trace_of_the_upload(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan, traceparent=TRACEPARENT, baggage="user.tier=premium")

    with trace.get_tracer("test").start_as_current_span("invocation") as invocation:
        conform(event, lambda_context)

    (span,) = telemetry.spans("preprocess_file")
    assert trace.format_trace_id(span.context.trace_id) == TRACE_ID
    assert trace.format_span_id(span.parent.span_id) == PARENT_ID
    assert [link.context.span_id for link in span.links] == [invocation.get_span_context().span_id]
    carried = cloud.metadata(WORK, f"conform/{RUN}.nii.gz")
    (write,) = telemetry.spans("write_output")
    assert carried["traceparent"] == f"00-{TRACE_ID}-{trace.format_span_id(write.context.span_id)}-01"
    assert carried["baggage"] == "user.tier=premium"


def test_stage_without_carried_context_hangs_below_the_invocation(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)

    with trace.get_tracer("test").start_as_current_span("invocation") as invocation:
        conform(event, lambda_context)

    (span,) = telemetry.spans("preprocess_file")
    assert span.parent.span_id == invocation.get_span_context().span_id
    assert len(span.links) == 0


def test_stage_in_the_trace_of_its_invocation_hangs_below_the_invocation(
    cloud, telemetry, event, lambda_context, small_scan
):
    with trace.get_tracer("test").start_as_current_span("upload") as upload:
        ids = upload.get_span_context()
        traceparent = f"00-{trace.format_trace_id(ids.trace_id)}-{trace.format_span_id(ids.span_id)}-01"
        cloud.put(RAW, KEY, small_scan, traceparent=traceparent, baggage="experiment=new")
        with trace.get_tracer("test").start_as_current_span("invocation") as invocation:
            conform(event, lambda_context)

    (span,) = telemetry.spans("preprocess_file")
    assert span.parent.span_id == invocation.get_span_context().span_id
    assert len(span.links) == 0
    assert cloud.metadata(WORK, f"conform/{RUN}.nii.gz")["baggage"] == "experiment=new"


def test_stage_tells_its_work_in_the_spans_of_the_contract(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan)

    conform(event, lambda_context)

    by_id = {span.context.span_id: span.name for span in telemetry.spans()}
    tree = {(by_id.get(span.parent.span_id) if span.parent else None, span.name) for span in telemetry.spans()}
    assert tree == {
        (None, "preprocess_file"),
        ("preprocess_file", "load_file"),
        ("load_file", "validate_data"),
        ("preprocess_file", "process_image"),
        ("process_image", "conform"),
        ("preprocess_file", "write_output"),
    }
    attributes = telemetry.spans("preprocess_file")[0].attributes
    assert attributes["file_size_mb"] == 9
    assert isinstance(attributes["file_size_mb"], int)
    assert attributes["file.size_mb"] == 8.912
    assert attributes["file_path"] == KEY
    assert (attributes["stage"], attributes["modality"], attributes["outcome"]) == ("conform", "T1w", "ok")


def test_stage_logs_one_json_object_a_line(cloud, telemetry, event, lambda_context, small_scan, capsys):
    cloud.put(RAW, KEY, small_scan)

    conform(event, lambda_context)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["Processing file", "Completed"]
    (span,) = telemetry.spans("preprocess_file")
    for line in lines:
        assert line["level"] == "INFO"
        assert line["stage"] == "conform"
        assert line["file_path"] == KEY
        assert line["trace_id"] == trace.format_trace_id(span.context.trace_id)
        assert line["span_id"] == trace.format_span_id(span.context.span_id)
        assert line["aws_request_id"] == lambda_context.aws_request_id
        assert line["timestamp"].endswith("+00:00")
        assert "service_name" not in line
    assert lines[-1]["outcome"] == "ok"
    assert lines[-1]["duration_seconds"] >= 0


def test_stage_logs_failures_with_kind_and_level(cloud, telemetry, event, lambda_context, small_scan, capsys):
    cloud.put(RAW, KEY, small_scan)

    def process(run):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        stage_handler("conform", process)(event, lambda_context)

    errors = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"ERROR"' in line]
    assert [(line["error_type"], line["error_message"]) for line in errors] == [("ZeroDivisionError", "a bug")]


def test_stage_shows_no_key_that_may_be_a_name(cloud, telemetry, sample_event, lambda_context, small_scan, capsys):
    event = sample_event("s3-put")
    event["Records"][0]["s3"]["object"]["key"] = "Jane+Doe/scan.nii.gz"
    cloud.put(RAW, "Jane Doe/scan.nii.gz", small_scan)
    broken = deepcopy(event)
    broken["Records"][0]["s3"]["object"].update(key="Jane+Doe/broken.nii.gz", sequencer="02")
    cloud.put(RAW, "Jane Doe/broken.nii.gz", b"Jane")

    conform(event, lambda_context)
    conform(broken, lambda_context)

    told = capsys.readouterr().out + "".join(span.to_json() for span in telemetry.spans())
    told += "".join(cloud.get(DERIVATIVES, key).decode() for key in cloud.keys(DERIVATIVES))
    assert "Jane" not in told


def test_stage_touches_no_disk(cloud, telemetry, event, lambda_context, small_scan, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cloud.put(RAW, KEY, small_scan)

    conform(event, lambda_context)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fate", ["throttled", "vanished"])
def test_stage_shows_no_name_in_what_it_says_of_s3(
    cloud, telemetry, sample_event, lambda_context, capsys, monkeypatch, fate
):
    event = sample_event("s3-put")
    event["Records"][0]["s3"]["object"]["key"] = "Jane+Doe/scan.nii.gz"
    if fate == "throttled":
        cloud.put(RAW, "Jane Doe/scan.nii.gz", b"")
        error = ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject")
        monkeypatch.setattr(storage.storage()._s3, "get_object", Mock(side_effect=error))

    raised = ""
    try:
        conform(event, lambda_context)
    except TransientError as error:
        raised = str(error)

    told = raised + capsys.readouterr().out + "".join(span.to_json() for span in telemetry.spans())
    told += "".join(cloud.get(DERIVATIVES, key).decode() for key in cloud.keys(DERIVATIVES))
    assert "hashed-" in told
    assert "Jane" not in told


def test_stage_skips_a_finished_scan_whose_upload_was_deleted_since(
    cloud, telemetry, event, lambda_context, small_scan
):
    cloud.put(RAW, KEY, small_scan)
    conform(event, lambda_context)
    cloud.client.delete_object(Bucket=RAW, Key=KEY)

    assert conform(event, lambda_context)["objects"][0]["outcome"] == "skipped"
    assert cloud.keys(DERIVATIVES) == []


def test_stage_leaves_baggage_out_that_would_not_fit_the_metadata(cloud, telemetry, event, lambda_context, small_scan):
    cloud.put(RAW, KEY, small_scan, traceparent=TRACEPARENT, baggage="k=" + 1900 * "v")

    conform(event, lambda_context)

    carried = cloud.metadata(WORK, f"conform/{RUN}.nii.gz")
    assert set(carried) == {"neuro-run-id", "traceparent"}
    assert sum(len(name) + len(value) for name, value in carried.items()) < 2048


def test_stage_takes_the_size_from_s3_when_the_event_has_none(cloud, telemetry, event, lambda_context, small_scan):
    del event["Records"][0]["s3"]["object"]["size"]
    cloud.put(RAW, KEY, small_scan)

    conform(event, lambda_context)

    assert cloud.json(WORK, f"conform/{RUN}.json")["size_bytes"] == len(small_scan)
