"""`demo`: what `make demo` shows, from upload to report."""

import os
import re
import subprocess
import sys

import nibabel
import pytest

from pipeline.keys import STAGES

pytestmark = pytest.mark.usefixtures("layers")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "my scan.nii.gz"
    path.write_bytes(b"no scan")
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def demo(layers, broken, out):
    env = {name: value for name, value in os.environ.items() if name != "NEURO_VOXEL_SIZE_MM"}
    command = [sys.executable, "-m", "neuro_cli", "demo", str(broken), "--output", str(out), "--no-open"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=240)


def test_demo_succeeds_though_one_s_own_scan_is_broken(demo):
    assert demo.returncode == 0, demo.stderr


def test_demo_ends_with_a_table_and_the_report(demo, out):
    header, head, *again, broken = demo.stdout.splitlines()[:5]
    assert re.split(" {2,}", header) == ["scan", *(stage.replace("_", " ") for stage in STAGES), "brain", "quality"]
    assert head.split()[0] == "sub-phantom_T1w"
    assert head.split()[-1] in ("pass", "warn")
    assert broken.split()[-1] == "refused"
    assert [line.split()[0] for line in again] == ["sub-phantom_run-2_T1w", "sub-phantom_run-3_T1w"]
    assert {line.split()[-1] for line in again} == {head.split()[-1]}
    report = out / "sub-phantom/figures/sub-phantom_desc-qc_T1w.html"
    assert f"report       {report}" in demo.stdout.splitlines()
    assert report.read_text().startswith("<!DOCTYPE html>")


def test_demo_leaves_derivatives_on_disk(demo, out):
    mask = nibabel.load(out / "sub-phantom/anat/sub-phantom_desc-brain_mask.nii.gz")
    assert 1_000_000 < mask.get_fdata().sum() < 1_700_000
    assert (out / "dataset_description.json").is_file()


def test_demo_shows_the_error_file(demo, out):
    (error,) = (out / "errors").glob("*.error.json")
    assert f"(NOT_NIFTI, {error})" in demo.stderr


def test_demo_shows_each_stage_as_it_happens(demo):
    lines = [line for line in demo.stderr.splitlines() if "sub-phantom_T1w.nii.gz" in line]
    happenings = [line.split("sub-phantom_T1w.nii.gz")[1].split() for line in lines]
    assert happenings[0] == ["uploaded"]
    assert [words[0] for words in happenings if words[1:2] == ["started"]] == list(STAGES)


def test_demo_puts_each_scan_s_trace_beside_its_report(demo, out):
    page = out / "sub-phantom/figures/sub-phantom_desc-trace_T1w.html"
    assert f"trace        {page}" in demo.stdout.splitlines()
    html = page.read_text()
    assert 'href="sub-phantom_desc-qc_T1w.html"' in html
    rows = re.findall(r'<summary class="row first"><span class="label"[^>]*><span class="name">(\w+)</span>', html)
    assert rows == ["upload_file", "Conform", "SkullStrip", "BiasCorrect", "Normalize", "Report"]
    assert html.count('<span class="chip cold">cold start</span>') == 2 * len(STAGES)  # in the overview, too
    assert 'href="sub-phantom_desc-trace_T1w.html"' in (page.with_name("sub-phantom_desc-qc_T1w.html")).read_text()


def test_demo_puts_a_refused_scan_s_trace_beside_its_error_file(demo, out):
    (error,) = (out / "errors").glob("*.error.json")
    html = error.with_name(error.name.replace(".error.json", ".trace.html")).read_text()
    assert '<span class="badge fail">refused</span>' in html
    assert "NOT_NIFTI" in html
    assert "my scan" not in html  # it may be a patient's name


def test_demo_tells_what_telemetry_came_and_what_it_cost(demo):
    received = re.search(
        r"^telemetry +(\d+) spans, (\d+) log records, (\d+) metric points; dropped (\d+); ", demo.stdout, re.M
    )
    spans, logs, points, dropped = map(int, received.groups())
    assert min(spans, logs, points) > 10
    assert dropped == 0
    running, whole = re.search(r"^its cost +([\d.]+) % .*; ([\d.]+) % of all", demo.stdout, re.M).groups()
    assert 0 < float(running) < float(whole)
