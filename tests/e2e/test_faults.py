"""Twenty scans while something goes wrong: each ends as derivatives, an error file or a failure file."""

import json
import os
import queue
import signal
import threading
from collections import Counter, defaultdict

import pytest

from lambda_local import EnvironmentStarted, InvocationStarted
from lambda_local.s3_faults import ACCESS_DENIED, INTERNAL_ERROR, RESET, RESET_AFTER_EFFECT, SLOW_DOWN, hang

RAW, WORK, DERIVATIVES = "neuro-preprocess-raw", "neuro-preprocess-work", "neuro-preprocess-derivatives"
STAGES = {
    "Conform": "conform",
    "SkullStrip": "skull_strip",
    "BiasCorrect": "bias_correct",
    "Normalize": "normalize",
    "Report": "report",
}

pytestmark = pytest.mark.timeout(900)


def reconcile(system, names) -> Counter[str]:
    """Every upload has come to exactly one end."""
    ends = system.ends(*names)
    assert {name: end for name, end in ends.items() if len(end) != 1} == {}
    return Counter(end[0] for end in ends.values())


class Saboteur:
    """Sends a signal to the processes of chosen invocations.

    Of each function's requests the first is hit at every attempt, the next three at their first attempt only.
    """

    def __init__(self, service, hit: signal.Signals) -> None:
        self._functions = {name: spec.logical_id for name, spec in service.deployment.functions.items()}
        self._hit = hit
        self._pids: dict[str, int] = {}
        self._requests: dict[str, list[str]] = defaultdict(list)
        service.subscribe(self)

    def __call__(self, event) -> None:
        if isinstance(event, EnvironmentStarted):
            self._pids[event.environment_id] = event.pid
        if isinstance(event, InvocationStarted) and self._functions[event.function] in STAGES:
            requests = self._requests[event.function]
            if event.request_id not in requests:
                requests.append(event.request_id)
            place = requests.index(event.request_id)
            if place == 0 or (place <= 3 and event.attempt == 1):
                os.kill(self._pids[event.environment_id], self._hit)


def test_processes_killed_in_every_stage_lose_nothing(start_system, head, names):
    with start_system() as system:
        Saboteur(system.service, signal.SIGKILL)
        system.upload(head, *names)
        system.drain()

        assert reconcile(system, names) == {"derivatives": 15} | {f"failure {stage}": 1 for stage in STAGES.values()}


def test_timeouts_in_every_stage_lose_nothing(start_system, head, names):
    with start_system(timeout_s=6) as system:
        Saboteur(system.service, signal.SIGSTOP)
        system.upload(head, *names)
        system.drain()

        ends = reconcile(system, names)
        assert ends["derivatives"] == 20 - sum(ends[f"failure {stage}"] for stage in STAGES.values())
        assert all(ends[f"failure {stage}"] >= 1 for stage in STAGES.values())


@pytest.mark.parametrize(
    ("fault", "fraction"),
    [(SLOW_DOWN, 0.3), (INTERNAL_ERROR, 0.3), (RESET, 0.15), (RESET_AFTER_EFFECT, 0.1), (hang(0.5), 0.05)],
    ids=["503", "500", "reset", "answer-lost", "hang"],
)
def test_an_unreliable_s3_loses_nothing(start_system, head, names, fault, fraction):
    with start_system() as system:
        functions, faults = set(system.service.deployment.functions), system.service.s3.faults
        active = faults.add(fault, where=lambda request: request.caller in functions, fraction=fraction)
        system.upload(head, *names)
        system.drain()
        faults.clear()

        assert active.hits > 20
        ends = reconcile(system, names)
        assert ends["derivatives"] >= 12, ends


def test_a_refused_bucket_gives_failure_files_and_the_events_to_retry(start_system, head, names):
    with start_system() as system:
        refused = system.service.s3.faults.add(
            ACCESS_DENIED, where=lambda request: request.method == "PUT" and request.key.startswith("skull_strip/")
        )
        system.upload(head, *names)
        system.drain()
        assert reconcile(system, names) == {"failure skull_strip": 20}

        system.service.s3.faults.remove(refused)
        (skull_strip,) = [n for n, s in system.service.deployment.functions.items() if s.logical_id == "SkullStrip"]
        for key in [key for key in system.keys(DERIVATIVES) if key.endswith(".failure.json")]:
            system.service.invoke_async(skull_strip, json.dumps(system.json(DERIVATIVES, key)["event"]).encode())
        system.drain()

        assert sum(key.startswith("report/") for key in system.keys(WORK)) == 20


def test_uploads_that_may_not_be_read_give_failure_files(start_system, head, names):
    with start_system() as system:
        functions = set(system.service.deployment.functions)
        system.service.s3.faults.add(
            ACCESS_DENIED, where=lambda request: request.caller in functions and request.bucket == RAW
        )
        system.upload(head, *names)
        system.drain()

        assert reconcile(system, names) == {"failure conform": 20}


def test_uploads_and_work_that_vanish_are_told(start_system, head, names):
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    seen: set[str] = set()

    def is_first_read_of_a_conformed_head(request) -> bool:
        is_read = request.method == "GET" and request.caller == skull_strip and request.key.endswith(".nii.gz")
        if not is_read or request.key in seen:
            return False
        seen.add(request.key)
        found.put(request.key)
        return True

    def delete_what_is_being_read(s3) -> None:
        for _ in range(3):
            s3.delete_object(Bucket=WORK, Key=found.get(timeout=120))

    with start_system(concurrency=1) as system:
        (skull_strip,) = [n for n, s in system.service.deployment.functions.items() if s.logical_id == "SkullStrip"]
        faults = system.service.s3.faults
        # the first upload's read hangs while the last five are deleted; then each of three heads, while its read hangs
        faults.add(hang(8), where=lambda request: request.method == "GET" and request.bucket == RAW, times=1)
        faults.add(hang(4), where=is_first_read_of_a_conformed_head, times=3)
        deleter = threading.Thread(target=delete_what_is_being_read, args=(system.s3,))
        deleter.start()
        system.upload(head, *names)
        versions = system.s3.list_object_versions(Bucket=RAW)["Versions"]
        for version in [version for version in versions if version["Key"] in names[15:]]:
            system.s3.delete_object(Bucket=RAW, Key=version["Key"], VersionId=version["VersionId"])
        system.drain()
        deleter.join(timeout=5)

        assert reconcile(system, names) == {"derivatives": 12, "error VANISHED": 5, "failure skull_strip": 3}


def test_a_full_disk_stops_nothing(start_system, head, names):
    with start_system(environment={"TMPDIR": "/nowhere", "HOME": "/nowhere"}) as system:
        system.upload(head, *names)
        system.drain()

        assert reconcile(system, names) == {"derivatives": 20}
