"""Twenty scans while something goes wrong: each ends as derivatives, an error file or a failure file, and is counted."""

import os
import signal
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
        functions = set(system.service.deployment.functions)
        active = system.service.s3.faults.add(fault, where=lambda request: request.caller in functions, fraction=fraction)
        system.upload(head, *names)
        system.drain()
        system.service.s3.faults.clear()

        assert active.hits > 20
        ends = reconcile(system, names)
        assert ends["derivatives"] >= 12, ends


def test_a_refused_bucket_gives_failure_files_and_the_events_to_retry(start_system, head, names):
    with start_system() as system:
        refused = system.service.s3.faults.add(
            ACCESS_DENIED, where=lambda request: request.method == "PUT" and request.key.startswith("skull_strip/")
        )
        system.upload(head, *names[:4])
        system.drain()
        assert reconcile(system, names[:4]) == {"failure skull_strip": 4}

        system.service.s3.faults.remove(refused)
        (skull_strip,) = [n for n, s in system.service.deployment.functions.items() if s.logical_id == "SkullStrip"]
        for key in [key for key in system.keys(DERIVATIVES) if key.endswith(".failure.json")]:
            import json

            system.service.invoke_async(skull_strip, json.dumps(system.json(DERIVATIVES, key)["event"]).encode())
        system.drain()

        assert sum(key.startswith("report/") for key in system.keys(WORK)) == 4


def test_uploads_that_vanish_and_work_that_vanishes_are_told(start_system, head, names):
    with start_system() as system:
        conform = next(n for n, s in system.service.deployment.functions.items() if s.logical_id == "Conform")

        def vanish(request) -> bool:
            """Delete the object just before it is read."""
            is_victim = request.key in names[:5] or (request.key.startswith("conform/") and request.key in doomed)
            if request.method == "GET" and request.caller != "test" and is_victim:
                client.delete_object(Bucket=request.bucket, Key=request.key)
            if request.method == "PUT" and request.caller == conform and request.key.endswith(".nii.gz") and len(doomed) < 3:
                doomed.add(request.key)
            return False

        doomed: set[str] = set()
        client = system.service.s3.client()
        system.service.s3.faults.add(SLOW_DOWN, where=vanish)
        system.upload(head, *names)
        system.drain()
        system.service.s3.faults.clear()

        assert reconcile(system, names) == {"derivatives": 12, "error VANISHED": 5, "failure skull_strip": 3}


def test_a_full_disk_stops_nothing(start_system, head, names):
    with start_system(environment={"TMPDIR": "/nowhere", "HOME": "/nowhere"}) as system:
        system.upload(head, *names[:4])
        system.drain()

        assert reconcile(system, names[:4]) == {"derivatives": 4}
