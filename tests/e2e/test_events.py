"""Every sample event through the function it is meant for, as `replay` and `sam local invoke` would send it."""

import json
from pathlib import Path

import pytest

EVENTS = Path(__file__).parent.parent.parent / "events"
SAMPLE = "sub-01/anat/sub-01_T1w.nii.gz"
RUN = "74c3cbc1baa133bdf383687e"
# (event, function, outcomes of its objects)
SAMPLES = [
    ("s3-put", "Conform", ["ok"]),
    ("s3-put-by-conform", "SkullStrip", ["skipped"]),
    ("s3-put-by-skull-strip", "BiasCorrect", ["skipped"]),
    ("s3-put-by-bias-correct", "Normalize", ["skipped"]),
    ("s3-put-by-normalize", "Report", ["skipped"]),
    ("s3-put-two-records", "Conform", ["skipped", "ok"]),
    ("s3-put-special-key", "Conform", ["ok"]),
    ("s3-put-upper-case", "Conform", ["ok"]),
    ("s3-multipart", "Conform", ["ok"]),
    ("s3-put-companion", "Conform", ["ignored"]),
    ("s3-test-event", "Conform", []),
    ("schedule", "Conform", []),
    ("redrive-s3", "Redrive", ["gone"]),
    ("redrive-schedule", "Redrive", []),
]
UPLOADS = [
    SAMPLE,
    "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz",
    "scans of 2026/café + résumé (1).nii.gz",
    "SUB-05_T1W.NII.GZ",
    "sub-03/anat/sub-03_T1w.nii",
]

pytestmark = pytest.mark.timeout(600)


def test_every_sample_event_is_listed_here():
    others = {"sqs-failure", "s3-put-versioned", "eventbridge-object-created"}
    assert {path.stem for path in EVENTS.glob("*.json")} == {name for name, *_ in SAMPLES} | others


def test_sample_events_do_what_they_say(start_system, head, sample_event):
    with start_system(otlp_endpoint="http://127.0.0.1:9") as system:  # redrive needs one, where nobody has to listen
        by_id = {spec.logical_id: name for name, spec in system.service.deployment.functions.items()}

        def send(function: str, event) -> dict:
            answer = system.service.invoke(by_id[function], json.dumps(event).encode())
            assert answer.function_error is None, answer.payload
            return json.loads(answer.payload)

        for name in UPLOADS:
            system.s3.put_object(Bucket="neuro-preprocess-raw", Key=name, Body=head)
        system.drain()
        for name, function, outcomes in SAMPLES:
            answer = send(function, sample_event(name))
            assert [entry["outcome"] for entry in answer["objects"]] == outcomes, name
            system.drain()
        assert send("Failure", sample_event("sqs-failure")) == {"batchItemFailures": []}
        assert f"report/{RUN}.json" in system.keys("neuro-preprocess-work")


def test_versioned_sample_event_reads_the_version_it_names(start_system, head, sample_event):
    event = sample_event("s3-put-versioned")
    entity = event["Records"][0]["s3"]["object"]
    with start_system() as system:
        by_id = {spec.logical_id: name for name, spec in system.service.deployment.functions.items()}
        version = system.s3.put_object(Bucket="neuro-preprocess-raw", Key=entity["key"], Body=head)["VersionId"]
        system.upload(b"a later version, and no scan", entity["key"])
        system.drain()

        entity["versionId"] = version
        answer = system.service.invoke(by_id["Conform"], json.dumps(event).encode())

        # the upload's own event has processed that version already
        assert [entry["outcome"] for entry in json.loads(answer.payload)["objects"]] == ["skipped"]


def test_an_existing_bucket_is_read_through_eventbridge(start_system, head):
    name = "study A/sub-06/anat/sub-06_T1w.nii.gz"
    with start_system(existing_bucket="our-existing-scans") as system:
        system.s3.put_object(Bucket="our-existing-scans", Key=name, Body=head)
        system.drain()

        (report,) = [key for key in system.keys("neuro-preprocess-work") if key.startswith("report/")]
        assert system.json("neuro-preprocess-work", report)["key"] == name
