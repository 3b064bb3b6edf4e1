"""The sample events through `sam local invoke`: AWS's own emulator, the layers as SAM built them."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.phantom import head_phantom

EVENTS = Path(__file__).parent.parent.parent / "events"
RUN = "74c3cbc1baa133bdf383687e"
RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def uploaded(s3):
    for bucket in (RAW, WORK, DERIVATIVES):
        s3.create_bucket(Bucket=bucket)
    phantom = head_phantom((88, 108, 104), 2.0)
    s3.put_object(Bucket=RAW, Key="sub-01/anat/sub-01_T1w.nii.gz", Body=encode_nifti(phantom.image))
    return phantom


def test_conform_and_skull_strip_find_the_brain(sam, s3, uploaded):
    answer = json.loads(sam.invoke("Conform", EVENTS / "s3-put.json").splitlines()[-1])
    assert answer.get("objects", [{}])[0].get("outcome") == "ok", answer

    answer = json.loads(sam.invoke("SkullStrip", EVENTS / "s3-put-by-conform.json").splitlines()[-1])
    assert answer.get("objects", [{}])[0].get("outcome") == "ok", answer

    content = s3.get_object(Bucket=WORK, Key=f"skull_strip/{RUN}_mask.nii.gz")["Body"].read()
    mask = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(content)).dataobj) > 0
    truth_ml = uploaded.brain_mask.sum() * 8 / 1000
    assert mask.sum() / 1000 == pytest.approx(truth_ml, rel=0.15)


def test_conform_refuses_what_is_no_scan(sam, s3, uploaded):
    key = "scans of 2026/café + résumé (1).nii.gz"
    s3.put_object(Bucket=RAW, Key=key, Body=b"<html>sign in</html>")

    answer = json.loads(sam.invoke("Conform", EVENTS / "s3-put-special-key.json").splitlines()[-1])

    entry = answer["objects"][0]
    assert entry["outcome"] == "rejected"
    report = json.loads(s3.get_object(Bucket=DERIVATIVES, Key=f"errors/{entry['run_id']}.error.json")["Body"].read())
    assert report["code"] == "NOT_NIFTI"
