"""Functions with both layers in real environments, a bucket for what is left of them, and the means to do them harm."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambda_local import (
    BucketSpec,
    Deployment,
    EnvironmentStopped,
    FunctionSpec,
    InvocationEnded,
    LambdaService,
    LogLine,
    RuntimeConfig,
    ServiceOptions,
)
from lambda_local.resources import AsyncConfig, NotificationSpec, RuleSpec, TargetSpec

from .journal import Journal, await_true
from .reconcile import Balance, balance, bucket_span_counts

ROOT = Path(__file__).parents[3]
LAYERS = ROOT / ".build" / "layers"
BUCKET = "telemetry-of-these-tests"
REGION, ACCOUNT = "us-east-1", "123456789012"
REDRIVE, SCHEDULE = "redrive", "redrive-every-five-minutes"
# How long an environment may stay idle before it is ended; longer than any pause of the tests.
IDLE_S = 2.5


@dataclass
class Answer:
    """What a function gave.

    Attributes
    ----------
    result : dict
    error : bool
        It failed, or never came to its end.
    latency_s : float
        Until the caller had the answer; of one that was awaited, until its environment was idle.
    """

    result: dict[str, Any]
    error: bool
    latency_s: float


class World:
    """A service with functions that make spans.

    Parameters
    ----------
    journal : Journal
    functions : mapping of str to mapping
        Names, and variables of each beyond those that all have.
    timeout_s, memory_mb : int
        Of every function.
    """

    def __init__(
        self,
        journal: Journal,
        functions: Mapping[str, Mapping[str, str]],
        *,
        timeout_s: int = 30,
        memory_mb: int = 512,
        redrive_to: str | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self.journal = journal
        self.ended: list[InvocationEnded] = []
        self.stopped: Counter[str] = Counter()
        self.log: list[str] = []
        specs = {name: _maker(name, journal.port, own, timeout_s, memory_mb) for name, own in functions.items()}
        notifications: tuple[NotificationSpec, ...] = ()
        rules: tuple[RuleSpec, ...] = ()
        if redrive_to is not None:
            redrive = _redrive(redrive_to)
            specs[REDRIVE] = redrive
            notifications = (
                NotificationSpec("handed-over", ("s3:ObjectCreated:*",), "telemetry/", ".otlp.gz", redrive.arn),
            )
            rules = (
                RuleSpec(
                    SCHEDULE,
                    f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{SCHEDULE}",
                    (TargetSpec(redrive.arn),),
                    schedule="rate(1 day)",
                ),
            )
        deployment = Deployment(
            "noloss", REGION, ACCOUNT, specs, (BucketSpec(BUCKET, notifications=notifications),), rules=rules
        )
        runtime = RuntimeConfig(python=Path(sys._base_executable), runtime_dir=ROOT / ".build/lambda-runtime")  # type: ignore[attr-defined]
        options = ServiceOptions(concurrency=20, idle_s=idle_s, time_scale=0.01)
        self.service = LambdaService(deployment, runtime, options)

    def __enter__(self) -> World:
        self.service.subscribe(self._note)
        self.service.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()

    def _note(self, event: Any) -> None:
        if isinstance(event, InvocationEnded):
            self.ended.append(event)
        if isinstance(event, EnvironmentStopped):
            self.stopped[event.function] += 1
        if isinstance(event, LogLine):
            self.log.append(f"{event.function}: {event.message}")

    def invoke(self, function: str, *, is_awaited: bool = False, **event: Any) -> Answer:
        """Run a function and wait for its answer; if it is awaited, until its environment has nothing to do any more.

        Else a call that comes soon may find the environment busy with what follows an answer, and get a new one.
        """
        began = time.perf_counter()
        # the log of an invocation is whole only once its environment is idle again
        answer = self.service.invoke(function, json.dumps(event).encode(), needs_log=is_awaited)
        latency_s = time.perf_counter() - began
        result = json.loads(answer.payload or b"null")
        return Answer(result if isinstance(result, dict) else {}, answer.function_error is not None, latency_s)

    def processes(self, function: str, program: str) -> list[int]:
        """Ids of a function's processes that run a program: `collector`, or `python` for the function itself."""
        found = []
        # another run of these tests has functions of the same names
        marks = (f"\0AWS_LAMBDA_FUNCTION_NAME={function}\0", f"\0AWS_ENDPOINT_URL_S3={self.service.s3.url}\0")
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                environment = b"\0" + (folder / "environ").read_bytes()
                if not all(mark.encode() in environment for mark in marks):
                    continue
                name = Path(os.fsdecode((folder / "cmdline").read_bytes().split(b"\0")[0])).name
            except OSError:  # it has ended meanwhile
                continue
            if name.startswith(program):
                found.append(int(folder.name))
        return found

    def kill(self, function: str, *programs: str) -> None:
        """`kill -9`, one program after the other."""
        pids = [pid for program in programs for pid in self.processes(function, program)]
        assert len(pids) >= len(programs), f"expected processes {programs} of `{function}`, but found {len(pids)}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def await_end(self, *functions: str, timeout_s: float = IDLE_S + 15) -> None:
        """Wait until no process of these functions is left: each environment has had its SHUTDOWN."""
        names = ("python", "collector")
        await_true(
            lambda: not any(self.processes(function, name) for function in functions for name in names),
            timeout_s,
            "the end of all environments",
        )

    def in_bucket(self) -> Counter[str]:
        """How often each span was handed over."""
        return bucket_span_counts(self.service.s3.client(), BUCKET)

    def keys(self) -> list[str]:
        pages = self.service.s3.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def balance_of(self, promised: set[str], arrived: Counter[str]) -> Balance:
        """The account of all spans that the journal knows."""
        return balance(promised, self.journal.spans("begun"), arrived)


@dataclass
class Traffic:
    """Invocations from several callers at once, each with a pace of its own.

    Attributes
    ----------
    failures : list of str
        What went wrong in the callers' threads.
    """

    world: World
    failures: list[str] = field(default_factory=list)

    def run(self, callers: Mapping[str, Any]) -> None:
        """Call `callers[function](invoke)` for each, in a thread of its own, and wait for all."""
        threads = [threading.Thread(target=self._one, args=pair, daemon=True) for pair in callers.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        assert not self.failures, self.failures[:3]

    def _one(self, function: str, caller: Any) -> None:
        try:
            caller(function)
        except Exception as error:  # noqa: BLE001  told in the test's own thread
            self.failures.append(f"{function}: {error!r}")


def _maker(name: str, journal_port: int, own: Mapping[str, str], timeout_s: int, memory_mb: int) -> FunctionSpec:
    variables = {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
        "OTEL_LAMBDA_NOTE_OPEN_SPANS": "true",
        "OTEL_LAMBDA_HANDOFF_URI": f"s3://{BUCKET}/telemetry",
        "JOURNAL_PORT": str(journal_port),
        **own,
    }
    return FunctionSpec(
        logical_id=name,
        name=name,
        arn=_arn(name),
        handler="maker.handler",
        runtime="python3.13",
        code_dir=Path(__file__).with_name("functions"),
        layer_dirs=(LAYERS / "TelemetryLayer", LAYERS / "CollectorLayer"),
        environment=variables,
        timeout_s=timeout_s,
        memory_mb=memory_mb,
        async_config=AsyncConfig(max_retries=0),
    )


def _redrive(endpoint: str) -> FunctionSpec:
    return FunctionSpec(
        logical_id="Redrive",
        name=REDRIVE,
        arn=_arn(REDRIVE),
        handler="redrive.app.handler",
        runtime="python3.13",
        code_dir=ROOT / "functions",
        layer_dirs=tuple(LAYERS / f"{name}Layer" for name in ("Science", "Runtime", "Telemetry", "Collector")),
        environment={
            "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
            "OTEL_LAMBDA_REDRIVE_URI": f"s3://{BUCKET}/telemetry",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        },
        timeout_s=60,
        memory_mb=512,
    )


def _arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
