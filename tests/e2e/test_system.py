"""Uploads in, derivatives or reasons out: on the local service, with the template and the layers that AWS would get."""

import json
import re
from collections import Counter

import pytest

from lambda_local import InvocationEnded, LogLine
from lambda_local.s3_faults import INTERNAL_ERROR, SLOW_DOWN

RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"

pytestmark = pytest.mark.timeout(600)


def test_every_upload_ends_once_though_each_event_comes_twice(start_system, head, names):
    broken = {
        "sub-31/anat/sub-31_T1w.nii.gz": (b"", "error EMPTY"),
        "sub-32/anat/sub-32_T1w.nii.gz": (b"\x89PNG\r\n\x1a\n" + bytes(500), "error NOT_NIFTI"),
        "sub-33/anat/sub-33_T1w.nii.gz": (head[: len(head) // 2], "error TRUNCATED"),
        "sub-34/anat/sub-34_T1w.nii.gz": (head[:5000] + bytes([head[5000] ^ 255]) + head[5001:], "error CORRUPT"),
    }
    good = names[:6]
    with start_system(deliveries=2) as system:
        system.upload(head, *good)
        for name, (content, _) in broken.items():
            system.upload(content, name)
        system.upload(b"{}", "sub-01/anat/sub-01_T1w.json", "dataset_description.json")
        system.drain()

        expected = {name: ["derivatives"] for name in good} | {name: [end] for name, (_, end) in broken.items()}
        assert system.ends(*good, *broken) == expected
        assert sum(key.endswith("_desc-brain_T1w.nii.gz") for key in system.keys(DERIVATIVES)) == len(good)
        assert sum(key.endswith("_desc-qc_T1w.html") for key in system.keys(DERIVATIVES)) == len(good)


def test_a_name_that_is_not_bids_is_processed_under_a_label_of_its_own(start_system, head):
    name = "scans of 2026/café + résumé (1).nii.gz"
    with start_system() as system:
        system.upload(head, name)
        system.drain()

        assert system.ends(name) == {name: ["derivatives"]}
        (brain,) = [key for key in system.keys(DERIVATIVES) if key.endswith("_desc-brain_T1w.nii.gz")]
        assert re.fullmatch(r"sub-x[0-9a-f]{12}/anat/sub-x[0-9a-f]{12}_desc-brain_T1w\.nii\.gz", brain)


def test_a_second_upload_of_the_same_bytes_is_a_new_run_that_replaces_the_first(start_system, head, names):
    with start_system() as system:
        for _ in range(2):
            system.upload(head, names[0])
            system.drain()

        runs = [key for key in system.keys(WORK) if key.startswith("report/")]
        assert len(runs) == 2
        brain = system.s3.head_object(Bucket=DERIVATIVES, Key="sub-01/anat/sub-01_desc-brain_T1w.nii.gz")
        newest = max(runs, key=lambda key: system.json(WORK, key)["order"])
        assert brain["Metadata"]["neuro-run-id"] in newest


def test_warm_environments_keep_no_files_and_little_memory(start_system, head, names):
    memory = {}
    with start_system(concurrency=1) as system:
        system.service.subscribe(
            lambda event: (
                memory.setdefault(event.function, []).append(event.max_memory_mb)
                if isinstance(event, InvocationEnded)
                else None
            )
        )
        system.upload(head, *names)
        system.drain()

        for peaks in memory.values():
            assert peaks[-1] <= peaks[9] + 15, "memory grows from scan to scan"


def test_every_line_of_a_functions_log_is_one_json_object_with_its_scan(start_system, head, names):
    lines = []
    with start_system() as system:
        system.service.subscribe(lambda event: lines.append(event) if isinstance(event, LogLine) else None)
        system.upload(head, names[0])
        system.upload(b"no scan", names[1])
        system.drain()

    own = [line.message for line in lines if not line.is_platform and line.extension is None]
    assert len(own) == 12 + 1  # two a stage, two for the broken scan and its reason
    assert all(re.fullmatch(r"\{.*\}", line) for line in own)


def test_a_stack_trace_is_one_json_object_too(start_system, head, names):
    lines = []
    with start_system() as system:
        system.service.subscribe(lambda event: lines.append(event) if isinstance(event, LogLine) else None)
        system.service.s3.faults.add(
            INTERNAL_ERROR, where=lambda request: request.method == "PUT" and request.key.startswith("skull_strip/")
        )
        system.upload(head, names[0])
        system.drain()

        assert system.ends(names[0]) == {names[0]: ["failure skull_strip"]}
    own = [json.loads(line.message) for line in lines if not line.is_platform and line.extension is None]
    traces = [line for line in own if "stackTrace" in line]
    assert [(line["level"], line["errorType"]) for line in traces] == [("ERROR", "TransientError")] * 3
    assert all(line["requestId"] and "skull_strip" in "".join(line["stackTrace"]) for line in traces)


def test_functions_ask_s3_for_nothing_their_policies_refuse(start_system, head, names, policies):
    asked: Counter[tuple[str, str, str, str]] = Counter()

    def record(request) -> bool:
        asked[(request.caller, request.method, request.bucket, request.key)] += 1
        return False

    with start_system() as system:
        functions = {name: spec.logical_id for name, spec in system.service.deployment.functions.items()}
        system.service.s3.faults.add(SLOW_DOWN, where=record)
        system.upload(head, names[0])
        system.upload(b"no scan", names[1])
        system.drain()

    by_functions = [(functions[caller], *rest) for caller, *rest in asked if caller in functions]
    assert {function for function, *_ in by_functions} >= {
        "Conform",
        "SkullStrip",
        "BiasCorrect",
        "Normalize",
        "Report",
    }
    refused = [request for request in by_functions if not policies.allow(*request)]
    assert refused == []


def test_a_t2w_scan_is_told_apart_and_marked_as_of_lower_confidence(start_system, t2w_head):
    name = "sub-01/anat/sub-01_T2w.nii.gz"
    with start_system() as system:
        system.upload(t2w_head, name)
        system.drain()

        assert system.ends(name) == {name: ["derivatives"]}
        brain = system.json(DERIVATIVES, "sub-01/anat/sub-01_desc-brain_T2w.json")
        assert brain["ProcessingFacts"]["skull_strip"]["is_low_confidence"] is True
        assert system.json(DERIVATIVES, "sub-01/figures/sub-01_desc-qc_T2w.json")["Verdict"] == "warn"
