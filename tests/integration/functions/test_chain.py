"""All stages in a row over one S3: a scan in, derivatives out, whatever the order and number of deliveries."""

import importlib
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import nibabel
import numpy as np
import pytest
from isal import igzip
from opentelemetry import trace

from failure.app import handler as failure
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.phantom import head_phantom
from pipeline import keys
from pipeline.events import decode_objects
from pipeline.storage import storage

RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"
KEY = "sub-01/anat/sub-01_T1w.nii.gz"
OTHER_KEY = "sub-02/anat/sub-02_T1w.nii.gz"
RUN = "74c3cbc1baa133bdf383687e"
DERIVED = [
    ".bidsignore",
    "README",
    "dataset_description.json",
    "sub-01/anat/sub-01_desc-brain_T1w.json",
    "sub-01/anat/sub-01_desc-brain_T1w.nii.gz",
    "sub-01/anat/sub-01_desc-brain_mask.json",
    "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
    "sub-01/figures/sub-01_desc-qc_T1w.html",
    "sub-01/figures/sub-01_desc-qc_T1w.json",
    "sub-01/figures/sub-01_desc-qc_T1w.png",
]
HANDLERS = {stage: importlib.import_module(f"{stage}.app").handler for stage in keys.STAGES}


@pytest.fixture(scope="session")
def phantom():
    return head_phantom((60, 74, 70), 3.0)


@pytest.fixture(scope="session")
def scan(phantom) -> bytes:
    return encode_nifti(phantom.image)


@pytest.fixture(autouse=True)
def _coarse(cloud, monkeypatch):
    monkeypatch.setenv("NEURO_VOXEL_SIZE_MM", "3.0")


class Deliveries:
    """S3's notifications, played by hand: every new trigger object becomes an event of the next stage."""

    def __init__(self, cloud, template, lambda_context, *, seed=0, times=1):
        self._cloud, self._template, self._context = cloud, template, lambda_context
        self._random, self._times = random.Random(seed), times
        self._seen: set[str] = set()

    def run(self, *events) -> None:
        pending = [("conform", event) for event in events for _ in range(self._times)]
        while pending:
            self._random.shuffle(pending)
            stage, event = pending.pop()
            HANDLERS[stage](deepcopy(event), self._context)
            pending += [new for new in self._new_events() for _ in range(self._times)]

    def _new_events(self):
        for key in set(self._cloud.keys(WORK)) - self._seen:
            self._seen.add(key)
            stage, run = keys.parse_work_key(key)
            following = keys.STAGES.index(stage) + 1
            if key == keys.output_key(stage, run) and following < len(keys.STAGES):
                event = deepcopy(self._template)
                event["Records"][0]["s3"]["object"]["key"] = key
                yield keys.STAGES[following], event


@pytest.fixture
def deliveries(cloud, sample_event, lambda_context):
    def build(**options):
        return Deliveries(cloud, sample_event("s3-put-by-conform"), lambda_context, **options)

    return build


def upload_event(sample_event, key=KEY, sequencer="0066A1B2C3D4E5F678"):
    event = sample_event("s3-put")
    event["Records"][0]["s3"]["object"].update(key=key, sequencer=sequencer)
    return event


def snapshot(cloud, bucket):
    """Content of every object; the seconds in the quality report are the only thing that may differ."""
    return {key: cloud.get(bucket, key) for key in cloud.keys(bucket) if "/figures/" not in key}


def volume(content: bytes):
    return nibabel.Nifti1Image.from_bytes(igzip.decompress(content))


def test_chain_turns_a_scan_into_derivatives(cloud, telemetry, sample_event, deliveries, scan, phantom):
    cloud.put(RAW, KEY, scan)

    deliveries().run(upload_event(sample_event))

    assert cloud.keys(DERIVATIVES) == DERIVED
    brain = volume(cloud.get(DERIVATIVES, "sub-01/anat/sub-01_desc-brain_T1w.nii.gz"))
    mask = volume(cloud.get(DERIVATIVES, "sub-01/anat/sub-01_desc-brain_mask.nii.gz"))
    inside = np.asarray(mask.dataobj) > 0
    values = np.asarray(brain.dataobj)
    assert np.array_equal(brain.affine, mask.affine)
    assert values[inside].mean() == pytest.approx(0, abs=1e-3)
    assert values[inside].std() == pytest.approx(1, abs=1e-3)
    assert not values[~inside].any()
    truth = phantom.brain_mask
    assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.9
    quality = cloud.json(DERIVATIVES, "sub-01/figures/sub-01_desc-qc_T1w.json")
    assert quality["Verdict"] in ("pass", "warn")
    assert cloud.get(DERIVATIVES, "sub-01/figures/sub-01_desc-qc_T1w.png").startswith(b"\x89PNG")


def test_chain_asks_s3_no_more_than_it_needs(cloud, sample_event, deliveries, scan):
    cloud.put(RAW, KEY, scan)
    cloud.put(RAW, OTHER_KEY, scan)
    chain = deliveries()
    chain.run(upload_event(sample_event))
    asked = Counter()
    events = storage()._s3.meta.events
    events.register("before-call.s3", lambda model, **_: asked.update([model.name]))

    chain.run(upload_event(sample_event, OTHER_KEY))

    # read: the trigger of each stage, records of three, volumes of earlier ones;
    # look: for each stage's output and the dataset's description;
    # write: a volume of three stages, a record of all five, seven derivatives
    assert asked == {"GetObject": 5 + 3 + 5, "HeadObject": 5 + 1, "PutObject": 3 + 5 + 7}


@pytest.mark.parametrize("there", [(), ("README",), ("README", ".bidsignore")])
def test_chain_completes_the_datasets_own_files(cloud, sample_event, deliveries, scan, there):
    cloud.put(RAW, KEY, scan)
    for key in there:
        cloud.put(DERIVATIVES, key, b"of an earlier try")

    deliveries().run(upload_event(sample_event))

    assert cloud.keys(DERIVATIVES) == DERIVED
    assert all(cloud.get(DERIVATIVES, key) == b"of an earlier try" for key in there)


def test_chain_adds_nothing_to_a_dataset_that_is_described(cloud, sample_event, deliveries, scan):
    cloud.put(RAW, KEY, scan)
    cloud.put(DERIVATIVES, "dataset_description.json", b"by hand")

    deliveries().run(upload_event(sample_event))

    assert cloud.keys(DERIVATIVES) == [key for key in DERIVED if key not in ("README", ".bidsignore")]
    assert cloud.get(DERIVATIVES, "dataset_description.json") == b"by hand"


def test_chain_counts_a_scan_once_at_its_end(cloud, telemetry, sample_event, deliveries, scan):
    cloud.put(RAW, KEY, scan)

    deliveries(times=2).run(upload_event(sample_event))

    assert telemetry.total("neuro.files.processed") == 1
    assert telemetry.total("neuro.files.failed") == 0
    for histogram in ("neuro.process.duration", "neuro.pipeline.duration", "neuro.file.size"):
        assert telemetry.total(histogram) == 1, histogram
    failed = {attributes for (name, attributes) in telemetry.counts() if name == "neuro.files.failed"}
    assert failed, "a 0 makes the series, so that a ratio finds it"


def test_chain_is_one_trace_from_upload_to_report(cloud, telemetry, sample_event, deliveries, scan):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    cloud.put(RAW, KEY, scan, traceparent=traceparent)

    deliveries().run(upload_event(sample_event))

    spans = telemetry.spans()
    assert {trace.format_trace_id(span.context.trace_id) for span in spans} == {traceparent.split("-")[1]}
    assert [span.attributes["stage"] for span in telemetry.spans("preprocess_file")] == list(keys.STAGES)
    names = {span.name for span in spans}
    assert {"skull_strip", "bias_correction", "normalization", "quality_control", "write_output"} <= names
    by_id = {span.context.span_id: span for span in spans}
    for span in telemetry.spans("preprocess_file")[1:]:
        assert by_id[span.parent.span_id].name == "write_output"
    assert all(span.attributes["file_path"] == KEY for span in telemetry.spans("preprocess_file"))


@pytest.mark.parametrize("seed", range(2))
def test_chain_gives_the_same_bytes_for_repeated_and_reordered_events(
    cloud, telemetry, sample_event, deliveries, scan, seed
):
    for key in (KEY, OTHER_KEY):
        cloud.put(RAW, key, scan)
    events = [upload_event(sample_event), upload_event(sample_event, OTHER_KEY)]
    deliveries(seed=seed, times=2).run(*events)
    repeated = snapshot(cloud, DERIVATIVES)
    written_at = {
        entry["Key"]: entry["LastModified"] for entry in cloud.client.list_objects_v2(Bucket=DERIVATIVES)["Contents"]
    }

    for bucket in (WORK, DERIVATIVES):
        for key in cloud.keys(bucket):
            if bucket == WORK:
                cloud.client.delete_object(Bucket=bucket, Key=key)
    deliveries(seed=seed + 100).run(*reversed(events))

    assert snapshot(cloud, DERIVATIVES) == repeated
    again = {
        entry["Key"]: entry["LastModified"] for entry in cloud.client.list_objects_v2(Bucket=DERIVATIVES)["Contents"]
    }
    assert again == written_at, "stored once: a run that was there before writes nothing"


def test_chain_run_by_twins_at_once_stores_once(cloud, telemetry, sample_event, lambda_context, deliveries, scan):
    cloud.put(RAW, KEY, scan)
    events = {"conform": upload_event(sample_event)}
    for stage, following in zip(keys.STAGES, keys.STAGES[1:], strict=False):
        events[following] = sample_event("s3-put-by-conform")
        events[following]["Records"][0]["s3"]["object"]["key"] = keys.output_key(stage, RUN)

    with ThreadPoolExecutor(3) as pool:
        for stage, event in events.items():
            answers = list(pool.map(lambda _, s=stage, e=event: HANDLERS[s](e, lambda_context), range(3)))
            assert {answer["objects"][0]["outcome"] for answer in answers} <= {"ok", "skipped"}

    assert cloud.keys(DERIVATIVES) == DERIVED
    assert telemetry.total("neuro.files.processed") == 1


def test_chain_uploads_of_the_same_bytes_are_two_runs(cloud, telemetry, sample_event, deliveries, scan):
    cloud.put(RAW, KEY, scan)

    deliveries().run(upload_event(sample_event), upload_event(sample_event, sequencer="0066A1B2C3D4E5F679"))

    assert telemetry.total("neuro.files.processed") == 2
    assert len([key for key in cloud.keys(WORK) if key.startswith("report/")]) == 2


@pytest.mark.parametrize("order", [("01", "02"), ("02", "01")], ids=["older-first", "newer-first"])
def test_chain_lets_the_newer_upload_win(cloud, telemetry, sample_event, lambda_context, deliveries, scan, order):
    runs = {}
    for sequencer in order:
        cloud.put(RAW, KEY, scan)
        event = upload_event(sample_event, sequencer=sequencer)
        runs[sequencer] = keys.run_id(decode_objects(event)[0])
        deliveries().run(event)

    owners = {cloud.metadata(DERIVATIVES, key).get("neuro-run-id") for key in DERIVED if key.startswith("sub-")}
    assert owners == {runs["02"]}
    assert telemetry.total("neuro.files.processed") == 2, "a superseded run comes to its end as well"
    record = cloud.json(WORK, f"report/{runs['01']}.json")
    assert record["is_superseded"] is (order[0] == "02")


def test_chain_writes_the_head_only_when_asked(cloud, telemetry, sample_event, deliveries, scan, monkeypatch):
    from pipeline import config

    monkeypatch.setenv("NEURO_WRITE_HEAD", "true")
    config.settings.cache_clear()
    cloud.put(RAW, KEY, scan)

    deliveries().run(upload_event(sample_event))

    assert cloud.json(DERIVATIVES, "sub-01/anat/sub-01_desc-preproc_T1w.json")["SkullStripped"] is False


def failed_message(sample_event, event, function="Conform"):
    messages = sample_event("sqs-failure")
    body = json.loads(messages["Records"][0]["body"])
    body["requestPayload"] = event
    body["requestContext"]["functionArn"] = f"arn:aws:lambda:us-east-1:123456789012:function:stack-{function}-X:$LATEST"
    messages["Records"][0]["body"] = json.dumps(body)
    return messages


def test_failure_becomes_a_file_that_can_be_replayed(cloud, telemetry, sample_event, lambda_context, scan):
    event = upload_event(sample_event)
    cloud.put(RAW, KEY, scan, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    for _ in range(2):
        assert failure(failed_message(sample_event, event), lambda_context) == {"batchItemFailures": []}

    report = cloud.json(DERIVATIVES, f"errors/{RUN}.failure.json")
    assert report["event"] == event
    assert (report["stage"], report["attempts"], report["condition"]) == ("conform", 3, "RetriesExhausted")
    assert report["error"]["type"] == "TransientError"
    assert telemetry.total("neuro.files.processed") == telemetry.total("neuro.files.failed") == 1
    assert HANDLERS["conform"](report["event"], lambda_context)["objects"][0]["outcome"] == "ok"
    (first, _) = telemetry.spans("record_failure")
    assert trace.format_trace_id(first.context.trace_id) == "0af7651916cd43dd8448eb211c80319c"


def test_failure_of_a_later_stage_names_it(cloud, telemetry, sample_event, lambda_context, scan):
    cloud.put(RAW, KEY, scan)
    HANDLERS["conform"](upload_event(sample_event), lambda_context)

    failure(failed_message(sample_event, sample_event("s3-put-by-conform"), "SkullStrip"), lambda_context)

    assert cloud.json(DERIVATIVES, f"errors/{RUN}.failure.json")["stage"] == "skull_strip"


def test_failure_leaves_out_what_succeeded_or_was_refused(cloud, telemetry, sample_event, lambda_context, scan):
    event = sample_event("s3-put-two-records")
    cloud.put(RAW, KEY, scan)
    cloud.put(RAW, "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz", b"no scan")
    HANDLERS["conform"](event, lambda_context)

    failure(failed_message(sample_event, event), lambda_context)

    assert [key for key in cloud.keys(DERIVATIVES) if key.endswith(".failure.json")] == []


def test_failure_keeps_an_event_that_no_stage_understands(cloud, telemetry, sample_event, lambda_context):
    failure(failed_message(sample_event, {"hello": "world"}), lambda_context)

    (key,) = cloud.keys(DERIVATIVES)
    assert cloud.json(DERIVATIVES, key)["event"] == {"hello": "world"}


def test_failure_names_messages_it_could_not_store(cloud, telemetry, sample_event, lambda_context, scan):
    good = failed_message(sample_event, upload_event(sample_event))["Records"][0]
    bad = {"messageId": "bad", "body": "{}"}

    answer = failure({"Records": [bad, good]}, lambda_context)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert cloud.keys(DERIVATIVES) == [f"errors/{RUN}.failure.json"]


def test_failure_is_stored_though_the_upload_cannot_be_reached(cloud, telemetry, sample_event, lambda_context):
    event = upload_event(sample_event)
    event["Records"][0]["s3"]["bucket"]["name"] = "no-such-bucket"

    assert failure(failed_message(sample_event, event), lambda_context) == {"batchItemFailures": []}

    (key,) = cloud.keys(DERIVATIVES)
    assert cloud.json(DERIVATIVES, key)["event"] == event


def test_failure_leaves_companions_out(cloud, telemetry, sample_event, lambda_context):
    event = sample_event("s3-put-two-records")
    event["Records"][1]["s3"]["object"]["key"] = "sub-02/anat/sub-02_T1w.json"

    failure(failed_message(sample_event, event), lambda_context)

    assert cloud.keys(DERIVATIVES) == [f"errors/{RUN}.failure.json"]
    assert telemetry.total("neuro.files.failed") == 1


def test_failure_keeps_an_event_of_the_last_stage_output(cloud, telemetry, sample_event, lambda_context):
    event = sample_event("s3-put-by-normalize")
    event["Records"][0]["s3"]["object"]["key"] = f"report/{RUN}.json"

    assert failure(failed_message(sample_event, event), lambda_context) == {"batchItemFailures": []}

    (key,) = cloud.keys(DERIVATIVES)
    assert cloud.json(DERIVATIVES, key)["stage"] is None
