"""The spans and metrics of `process` and `batch`: names are a contract with queries and dashboards."""

import pytest

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def processed(observed, dataset, tmp_path_factory):
    return observed(
        "process",
        dataset / KEY,
        "-o",
        tmp_path_factory.mktemp("out"),
        env={"TRACEPARENT": f"00-{TRACE_ID}-b7ad6b7169203331-01"},
    )


@pytest.fixture(scope="module")
def batch(observed, dataset, tmp_path_factory):
    return observed("batch", dataset, "-o", tmp_path_factory.mktemp("out"), "--no-bias-correction")


def the(spans, name):
    (span,) = [span for span in spans if span["name"] == name]
    return span


def tree(spans):
    """Names with the names of their parents."""
    names = {span["span_id"]: span["name"] for span in spans}
    return sorted({(span["name"], names.get(span["parent_id"])) for span in spans}, key=str)


def counts(points, name):
    return {tuple(sorted(p["attributes"].items())): p["value"] or p["count"] for p in points if p["name"] == name}


def test_process_is_one_trace_that_continues_the_caller_s(processed):
    assert {span["trace_id"] for span in processed["spans"]} == {TRACE_ID}
    assert tree(processed["spans"]) == [
        ("bias_correction", "process_image"),
        ("conform", "process_image"),
        ("load_file", "preprocess_file"),
        ("normalization", "process_image"),
        ("preprocess_file", None),
        ("process_image", "preprocess_file"),
        ("quality_control", "process_image"),
        ("skull_strip", "process_image"),
        ("validate_data", "load_file"),
        ("write_metadata", "write_output"),
        ("write_output", "preprocess_file"),
    ]


def test_file_span_answers_the_queries_of_the_dashboards(processed):
    attributes = the(processed["spans"], "preprocess_file")["attributes"]
    assert attributes["file_path"] == attributes["file.path"] == KEY
    assert isinstance(attributes["file_size_mb"], int)
    assert attributes["modality"] == attributes["metadata.modality"] == "T1w"
    assert attributes["pipeline.status"] == "success"
    assert attributes["pipeline.duration"] > 0
    assert the(processed["spans"], "load_file")["attributes"]["image.shape"] == [60, 72, 70]
    assert the(processed["spans"], "write_output")["attributes"]["output.format"] == "nifti"


def test_good_file_is_counted_once(processed):
    points = processed["points"]
    assert counts(points, "neuro.files.processed") == {(("modality", "T1w"),): 1}
    assert [p["value"] for p in points if p["name"] == "neuro.files.failed"] == [0]
    for name in ("neuro.process.duration", "neuro.pipeline.duration", "neuro.file.size", "neuro.load.duration"):
        assert [p["count"] for p in points if p["name"] == name] == [1], name
    stages = counts(points, "neuro.stage.process.duration")
    assert {dict(key)["stage"] for key in stages} == {"conform", "skull_strip", "bias_correct", "normalize", "report"}
    executed = counts(points, "neuro.stages.executed")
    assert len(executed) == 7
    assert all(dict(key)["outcome"] == "ok" for key in executed)
    assert {p["value"] for p in points if p["name"] == "neuro.processing.current"} == {0}


def test_each_scan_of_a_batch_is_a_trace_of_its_own_with_a_link_to_the_batch(batch):
    whole = the(batch["spans"], "preprocess_batch")
    files = [span for span in batch["spans"] if span["name"] == "preprocess_file"]
    assert len({span["trace_id"] for span in (*files, whole)}) == 3
    assert [span["parent_id"] for span in files] == [None, None]
    assert [span["links"] for span in files] == [[whole["trace_id"]]] * 2
    assert (whole["attributes"]["files"], whole["attributes"]["files.failed"]) == (2, 1)


def test_broken_file_is_marked_and_counted(batch):
    (broken,) = [span for span in batch["spans"] if span["name"] == "preprocess_file" and span["status"] == "ERROR"]
    assert broken["attributes"]["error.type"] == "NOT_NIFTI"
    assert broken["attributes"]["pipeline.status"] == "failed"
    points = batch["points"]
    assert counts(points, "neuro.files.processed") == {(("modality", "T1w"),): 2}
    assert counts(points, "neuro.files.failed") == {(("modality", "T1w"),): 1}
    assert counts(points, "neuro.processing.errors") == {(("error_type", "NOT_NIFTI"), ("stage", "read")): 1}


def test_step_left_out_has_no_span(batch):
    names = {span["name"] for span in batch["spans"]}
    assert "skull_strip" in names
    assert "bias_correction" not in names


@pytest.mark.parametrize("fault", ["broken", "gone", "folder", "unwritable"])
def test_path_that_may_be_a_name_is_nowhere_in_telemetry(observed, head, tmp_path, fault):
    folder = tmp_path / "Jane Doe"
    folder.mkdir()
    path = folder / "Jane Doe.nii.gz"
    if fault == "folder":
        path.mkdir()
    elif fault == "gone":
        path.symlink_to("Jane Doe's scan")
    else:
        path.write_bytes(b"no scan" if fault == "broken" else head)
    (folder / "out").touch()
    # `batch` meets a file that is gone where `process` would refuse its path at once.
    words = ("batch", folder) if fault == "gone" else ("process", path)
    seen = observed(*words, "-o", folder / "out/x", "--no-skull-strip", "--no-bias-correction")
    assert seen["exit_code"] == 1
    assert "Jane" not in str(seen["spans"]) + str(seen["points"])
