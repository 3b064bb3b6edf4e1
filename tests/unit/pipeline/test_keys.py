from dataclasses import replace

import pytest

from pipeline import keys
from pipeline.events import decode_objects


@pytest.fixture
def upload(sample_event):
    (source,) = decode_objects(sample_event("s3-put"))
    return source


def test_run_id_is_the_same_for_every_delivery(upload):
    assert keys.run_id(upload) == keys.run_id(replace(upload)) == "74c3cbc1baa133bdf383687e"


@pytest.mark.parametrize(
    "other",
    [
        {"sequencer": "0066A1B2C3D4E5F679"},
        {"key": "sub-02/anat/sub-02_T1w.nii.gz"},
        {"bucket": "another"},
        {"version_id": "v1"},
        {"replay": "20261125T101530Z"},
    ],
)
def test_run_id_differs_for_another_upload(upload, other):
    assert keys.run_id(replace(upload, **other)) != keys.run_id(upload)


def test_run_id_of_a_versioned_upload_is_its_version(upload):
    versioned = replace(upload, version_id="v1")

    assert keys.run_id(replace(versioned, sequencer="01")) == keys.run_id(versioned)


def test_run_order_pads_the_shorter_sequencer_on_the_right(upload):
    older, newer = replace(upload, sequencer="0055AED6DCD9"), replace(upload, sequencer="0055aed6dcd90281e5")

    assert keys.run_order(older) < keys.run_order(newer)


def test_run_order_places_a_replay_after_its_upload_and_before_the_next(upload):
    replayed = replace(upload, replay="20261125T101530Z")
    later = replace(upload, sequencer="0066A1B2C3D4E5F679")

    assert keys.run_order(upload) < keys.run_order(replayed) < keys.run_order(later)


def test_run_order_without_sequencer_is_by_time(upload):
    hand_made = replace(upload, sequencer="")
    second_later = replace(upload, sequencer=f"{int(upload.created_at.timestamp()) + 1:010X}ABC")

    assert keys.run_order(hand_made) < keys.run_order(second_later)


@pytest.mark.parametrize("stage", keys.STAGES)
def test_parse_work_key_undoes_the_builders(stage):
    run = "0123456789abcdef01234567"

    assert keys.parse_work_key(keys.output_key(stage, run)) == (stage, run)
    assert keys.parse_work_key(keys.record_key(stage, run)) == (stage, run)


@pytest.mark.parametrize("key", ["", "sub-01/anat/sub-01_T1w.nii.gz", "conform/short.nii.gz", f"other/{'0' * 24}.nii"])
def test_parse_work_key_knows_other_keys(key):
    assert keys.parse_work_key(key) is None


def test_telemetry_key_shows_bids_names_and_hides_others():
    assert keys.telemetry_key("sub-01/anat/sub-01_T1w.nii.gz") == "sub-01/anat/sub-01_T1w.nii.gz"
    hidden = keys.telemetry_key("Jane Doe/scan.nii.gz")
    assert hidden.startswith("hashed-")
    assert "Jane" not in hidden
    assert keys.telemetry_key("Jane Doe/sub-01_T1w.nii.gz").startswith("hashed-")


@pytest.mark.parametrize(
    "key",
    [
        "conform/74c3cbc1baa133bdf383687e.nii.gz",
        "errors/74c3cbc1baa133bdf383687e.failure.json",
        "sub-01/ses-2/anat/sub-01_ses-2_desc-brain_T1w.nii.gz",
        "sub-x24d03ddc6370/figures/sub-x24d03ddc6370_desc-qc_T1w.html",
        "dataset_description.json",
    ],
)
def test_telemetry_key_shows_the_keys_we_make(key):
    assert keys.telemetry_key(key) == key


def test_run_order_tells_runs_of_equal_age_apart(upload):
    other = replace(upload, key="sub-01/anat/sub-01_T1w.nii")

    assert keys.run_order(upload) != keys.run_order(other)


def test_stage_for_follows_the_chain(upload):
    written = [replace(upload, bucket="work", key=keys.output_key(stage, "0" * 24)) for stage in keys.STAGES]

    assert keys.stage_for(upload, "work") == keys.STAGES[0]
    assert [keys.stage_for(source, "work") for source in written] == [*keys.STAGES[1:], None]


def test_keys_that_are_no_unicode_text_have_ids_too(upload):
    assert len(keys.run_id(replace(upload, key="\udcff.nii.gz"))) == 24
    assert keys.telemetry_key("\udcff.nii.gz").startswith("hashed-")
