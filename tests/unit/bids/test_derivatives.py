import gzip
import hashlib
import json
import math
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from neuro_preprocess import __version__
from neuro_preprocess.bids import BidsName
from neuro_preprocess.derivatives import brain_files, dataset_files, quality_files, software_versions
from neuro_preprocess.image import Notice
from neuro_preprocess.normalize import NormalizationParameters, denormalize, normalize
from neuro_preprocess.quality import measure_quality
from neuro_preprocess.quality.verdict import judge

NAME = BidsName.parse("sub-01/anat/sub-01_T1w.nii.gz")


def contents(files):
    return {file.path: file.content for file in files}


def sidecar(files, ending):
    (found,) = [file for file in files if file.path.endswith(ending)]
    return json.loads(found.content)


def image(content):
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


@pytest.fixture
def files(brain, mask, normalized):
    return brain_files(NAME, brain, mask, normalized.parameters, facts={"skull_strip": {"fraction": 0.5}})


@pytest.fixture
def report(head, mask, checks):
    measures = measure_quality(head.data, head.data, mask, head.voxel_size_mm)
    notices = [Notice("TEXT_DROPPED", "free text is not carried over from `descrip`")]
    return quality_files(
        NAME,
        picture=np.full((4, 5, 3), 7, np.uint8),
        measures=measures,
        verdict=judge(measures, checks, notices),
        checks=checks,
        notices=notices,
        stage_seconds={"conform": 0.5},
        provenance={"Source": "ünïcode \udcff"},
    )


def test_brain_files_are_mask_and_brain_with_the_brain_last(files):
    assert [(file.path, file.content_type) for file in files] == [
        ("sub-01/anat/sub-01_desc-brain_mask.nii.gz", "application/gzip"),
        ("sub-01/anat/sub-01_desc-brain_mask.json", "application/json"),
        ("sub-01/anat/sub-01_desc-brain_T1w.json", "application/json"),
        ("sub-01/anat/sub-01_desc-brain_T1w.nii.gz", "application/gzip"),
    ]


def test_brain_files_hold_brain_and_mask_on_the_same_grid(files, brain, mask):
    written = contents(files)
    stored_mask = image(written["sub-01/anat/sub-01_desc-brain_mask.nii.gz"])
    stored_brain = image(written["sub-01/anat/sub-01_desc-brain_T1w.nii.gz"])

    np.testing.assert_array_equal(np.asanyarray(stored_brain.dataobj), brain.data)
    np.testing.assert_array_equal(np.asanyarray(stored_mask.dataobj), mask)
    assert stored_mask.get_data_dtype() == np.uint8
    for stored in (stored_mask, stored_brain):
        np.testing.assert_allclose(stored.affine, brain.affine)
        assert int(stored.header["sform_code"]) == 2


@pytest.mark.parametrize(("method", "window"), [("zscore", (-3, 3)), ("white-matter", (0, 1.5))])
def test_brain_files_propose_a_display_window(head, brain, mask, method, window):
    parameters = normalize(head.data, mask, method=method).parameters

    header = image(brain_files(NAME, brain, mask, parameters)[-1].content).header

    assert (header["cal_min"], header["cal_max"]) == window


def test_brain_sidecar_says_where_it_comes_from_and_how_to_undo_it(files, head, mask, brain, normalized):
    said = sidecar(files, "desc-brain_T1w.json")

    assert said["SkullStripped"] is True
    assert said["Sources"] == [
        "bids:raw:sub-01/anat/sub-01_T1w.nii.gz",
        "bids::sub-01/anat/sub-01_desc-brain_mask.nii.gz",
    ]
    assert said["ProcessingFacts"] == {"skull_strip": {"fraction": 0.5}}
    told = said["IntensityNormalization"]
    assert told.pop("undo")
    restored = denormalize(brain.data, mask, NormalizationParameters(**told))
    np.testing.assert_allclose(restored[mask], head.data[mask], rtol=1e-5)


def test_mask_sidecar_says_what_it_is(files):
    said = sidecar(files, "desc-brain_mask.json")

    assert (said["Type"], said["SpatialReference"]) == ("Brain", "bids:raw:sub-01/anat/sub-01_T1w.nii.gz")
    assert "confidence" not in said["Description"]


def test_mask_sidecar_of_a_t2w_scan_says_that_it_is_less_sure(brain, mask, normalized):
    files = brain_files(BidsName.parse("sub-01_T2w.nii.gz"), brain, mask, normalized.parameters)

    assert "lower confidence" in sidecar(files, "desc-brainT2w_mask.json")["Description"]


def test_brain_files_of_a_name_that_is_not_bids_tell_only_its_hash(brain, mask, normalized):
    key = "Jane Doe/head.nii.gz"
    files = brain_files(BidsName.parse(key), brain, mask, normalized.parameters)

    assert not any(b"Jane" in file.content or "Jane" in file.path for file in files)
    assert sidecar(files, "mask.json")["SourceKeySHA256"] == hashlib.sha256(key.encode()).hexdigest()
    assert "Sources" not in sidecar(files, "mask.json")
    assert sidecar(files, "mask.json")["SpatialReference"] == "orig"


def test_brain_files_show_the_head_only_when_asked(files, brain, mask, normalized, head):
    with_head = brain_files(NAME, brain, mask, normalized.parameters, head=head)

    assert not any("desc-preproc" in file.path for file in files)
    assert [file.path for file in with_head][-3:] == [
        "sub-01/anat/sub-01_desc-preproc_T1w.json",
        "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sub-01/anat/sub-01_desc-brain_T1w.nii.gz",
    ]
    assert sidecar(with_head, "desc-preproc_T1w.json")["SkullStripped"] is False
    np.testing.assert_array_equal(np.asanyarray(image(with_head[-2].content).dataobj), head.data)


def test_brain_files_are_the_same_bytes_each_time(files, brain, mask, normalized):
    facts = {"skull_strip": {"fraction": 0.5}}

    assert brain_files(NAME, replace(brain), mask.copy(), normalized.parameters, facts=facts) == files


def test_json_files_have_sorted_keys_and_a_newline_at_the_end(files, report):
    for file in (*files, *report, *dataset_files(raw_uri="../raw")):
        if file.content_type == "application/json":
            text = file.content.decode()
            assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_quality_files_are_picture_figures_and_page(report):
    assert [(file.path, file.content_type) for file in report] == [
        ("sub-01/figures/sub-01_desc-qc_T1w.png", "image/png"),
        ("sub-01/figures/sub-01_desc-qc_T1w.json", "application/json"),
        ("sub-01/figures/sub-01_desc-qc_T1w.html", "text/html; charset=utf-8"),
    ]


def test_quality_json_holds_the_figures_with_null_for_what_is_not_defined(report):
    figures = sidecar(report, ".json")

    assert figures["Verdict"] in ("pass", "warn", "fail")
    assert figures["Measures"]["brain_volume_ml"] == pytest.approx(5 * 5 * 7 * 6 / 1000)
    assert {"code": "TEXT_DROPPED", "message": "free text is not carried over from `descrip`"} in figures["Notices"]
    assert figures["StageSeconds"] == {"conform": 0.5}
    ring = figures["MaskChecks"][1]
    assert (ring["name"], ring["value"], ring["high"], ring["is_passed"]) == ("ring_ratio", None, None, False)


def test_dataset_files_describe_a_derivative(files):
    written = contents(dataset_files(raw_uri="s3://bucket/", code_url="https://example.org/code"))
    said = json.loads(written["dataset_description.json"])

    assert said["DatasetType"] == "derivative"
    assert said["DatasetLinks"] == {"raw": "s3://bucket/"}
    assert said["GeneratedBy"] == [
        {"Name": "neuro-preprocess", "Version": __version__, "CodeURL": "https://example.org/code"}
    ]
    assert set(written) == {"dataset_description.json", ".bidsignore", "README"}


def test_software_versions_are_those_in_use():
    versions = software_versions()

    assert versions["numpy"] == np.__version__
    assert versions["neuro-preprocess"] == __version__
    assert set(versions) == {"neuro-preprocess", "Python", "numpy", "scipy", "isal"}


def test_a_fact_that_is_no_number_becomes_null(brain, mask, normalized):
    files = brain_files(NAME, brain, mask, normalized.parameters, facts={"a": {"b": (1.5, math.inf)}})

    assert sidecar(files, "mask.json")["ProcessingFacts"] == {"a": {"b": [1.5, None]}}
