"""The life of services and environments: limits of a whole service, idle time, and endings of every kind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_local import (
    BucketSpec,
    EnvironmentStarted,
    EnvironmentStopped,
    InvocationEnded,
    InvocationGivenUp,
    InvocationStarted,
    Isolation,
    LambdaService,
    Outcome,
    ServiceOptions,
    ServiceStoppedError,
    TemplateError,
    ThrottledError,
)

from ...ports import free_port

HERE = Path(__file__).parent


@pytest.fixture
def serve(deployment, runtime):
    """Starts a service with its own options, and stops it."""
    services = []

    def start(watcher=lambda event: None, deployment=deployment, **options):
        service = LambdaService(deployment, runtime, ServiceOptions(time_scale=0.002, **options))
        service.subscribe(watcher)
        service.start()
        services.append(service)
        return service

    yield start
    for service in services:
        service.stop()


class Told(list):
    """Events, by kind."""

    def __call__(self, event):
        self.append(event)

    def all(self, kind):
        return [event for event in self if isinstance(event, kind)]


def open_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("isolation", [Isolation.AUTO, Isolation.PATHS])
def test_stop_ends_every_process_thread_file_and_socket(
    serve, runtime, alive, eventually, isolation, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads, descriptors = threading.active_count(), open_descriptors()
    told = Told()
    service = serve(told, isolation=isolation)
    service.s3.client().put_object(Bucket="local-test-raw", Key="in/x.bin", Body=b"")
    assert service.drain(20)
    spawned = json.loads(service.invoke("act", b'{"do": "spawn"}').payload)
    service.invoke_async("act", b'{"do": "sleep", "s": 60}')
    eventually(lambda: len(told.all(InvocationStarted)) == 4)
    pids = [event.pid for event in told.all(EnvironmentStarted)]
    assert spawned["pid"] in pids
    assert all(alive(pid) for pid in [*pids, spawned["child"]])
    assert list(tmp_path.iterdir())

    service.stop()
    eventually(lambda: not any(alive(pid) for pid in [*pids, spawned["child"]]))
    eventually(lambda: threading.active_count() <= threads)
    assert not list(tmp_path.iterdir())
    assert open_descriptors() <= descriptors + 2
    assert {event.reason for event in told.all(EnvironmentStopped)} == {"stop"}
    with pytest.raises(ServiceStoppedError):
        service.invoke("act", b"{}")
    with pytest.raises(ServiceStoppedError):
        service.put_event({})
    service.stop()


def test_stop_tells_who_waits(serve, eventually):
    service, errors, told = serve(concurrency=1), [], Told()
    service.subscribe(told)

    def invoke():
        try:
            service.invoke("reserved", b'{"do": "sleep", "s": 60}')
        except ServiceStoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=invoke)
    thread.start()
    eventually(lambda: told.all(InvocationStarted))
    service.invoke_async("act", b"{}")  # waits for room
    assert not service.drain(0.05)
    service.stop()
    thread.join(5)
    assert len(errors) == 1


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_do_not_outlive_a_service_that_is_ended_from_outside(tmp_path, ending, alive, eventually):
    folder = tmp_path / "tmp"
    folder.mkdir()
    script = tmp_path / "serve.py"
    script.write_text(
        textwrap.dedent("""
            import json, signal, sys, sysconfig
            from pathlib import Path
            from lambda_local import EnvironmentStarted, LambdaService, RuntimeConfig, load_deployment

            for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs ignore SIGINT
                signal.signal(number, signal.default_int_handler)
            runtime = RuntimeConfig(Path(sys.executable), Path(sysconfig.get_path("purelib")))
            with LambdaService(load_deployment(Path(sys.argv[1])), runtime) as service:
                spawned = json.loads(service.invoke("act", b'{"do": "spawn"}').payload)
                print(json.dumps(spawned), flush=True)
                signal.pause()
        """)
    )
    service = subprocess.Popen(
        [sys.executable, script, HERE / "template.yaml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    told = json.loads(service.stdout.readline())
    assert alive(told["pid"])
    assert alive(told["child"])
    assert list(folder.iterdir())
    # As a terminal does: to the whole foreground group, in which the functions are not.
    os.killpg(service.pid, ending)
    service.wait(10)
    service.stdout.close()
    eventually(lambda: not alive(told["pid"]) and not alive(told["child"]))
    eventually(lambda: not list(folder.iterdir()))


def test_idle_environment_is_ended_and_the_next_one_is_cold(serve, alive, eventually):
    told = Told()
    service = serve(told, idle_s=0.2)
    first = json.loads(service.invoke("act", b"{}").payload)
    eventually(lambda: told.all(EnvironmentStopped))
    assert told.all(EnvironmentStopped)[0].reason == "spindown"
    eventually(lambda: not alive(first["pid"]))
    second = json.loads(service.invoke("act", b"{}").payload)
    assert (second["pid"] != first["pid"], second["calls"]) == (True, 1)


def test_environment_that_dies_while_idle_is_not_given_work(serve, eventually):
    told = Told()
    service = serve(told)
    first = json.loads(service.invoke("act", b"{}").payload)
    os.kill(first["pid"], signal.SIGKILL)
    eventually(lambda: told.all(EnvironmentStopped))
    result = service.invoke("act", b"{}")
    assert result.function_error is None
    assert json.loads(result.payload)["calls"] == 1


def test_concurrency_of_the_whole_service_is_kept(serve):
    told = Told()
    service = serve(told, concurrency=2)
    for function in ("act", "reserved", "act", "reserved"):
        service.invoke_async(function, b'{"do": "sleep", "s": 0.1}')
    assert service.drain(20)
    running, most = 0, 0
    for event in told:
        running += isinstance(event, InvocationStarted) - isinstance(event, InvocationEnded)
        most = max(most, running)
    assert most <= 2
    assert [event.outcome for event in told.all(InvocationEnded)] == [Outcome.OK] * 4


def test_sync_invocation_beyond_the_whole_concurrency_is_throttled(serve, eventually):
    told = Told()
    service = serve(told, concurrency=1)
    service.invoke_async("act", b'{"do": "sleep", "s": 0.5}')
    eventually(lambda: told.all(InvocationStarted))
    with pytest.raises(ThrottledError) as throttled:
        service.invoke("reserved", b"{}")
    assert throttled.value.reason == "ConcurrentInvocationLimitExceeded"
    assert service.drain(20)


def test_deliveries_makes_duplicates(serve):
    told = Told()
    service = serve(told, deliveries=2)
    service.s3.client().put_object(Bucket="local-test-work", Key="in/x.bin", Body=b"")
    assert service.drain(20)
    ended = told.all(InvocationEnded)
    assert [event.function for event in ended] == ["second", "second"]
    assert len({event.request_id for event in ended}) == 2


def test_event_that_is_too_old_is_given_up_untried(serve, deployment, eventually):
    act = deployment.functions["act"]
    short = replace(act, async_config=replace(act.async_config, max_age_s=0.05))
    told = Told()
    service = serve(told, replace(deployment, functions={**deployment.functions, "act": short}), concurrency=1)
    service.invoke_async("reserved", b'{"do": "sleep", "s": 0.5}')
    eventually(lambda: told.all(InvocationStarted))
    request_id = service.invoke_async("act", b'{"do": "tell"}')
    assert service.drain(20)
    stored = service.s3.client().get_object(Bucket="local-test-result", Key=f"failures/{request_id}.json")
    record = json.loads(stored["Body"].read())
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert "act" not in [event.function for event in told.all(InvocationStarted)]


def test_event_for_a_function_without_room_grows_too_old(serve, deployment):
    act = deployment.functions["act"]
    off = replace(act, reserved_concurrency=0, async_config=replace(act.async_config, max_age_s=0.05))
    told = Told()
    service = serve(told, replace(deployment, functions={**deployment.functions, "act": off}))
    request_id = service.invoke_async("act", b"{}")
    assert service.drain(20)
    (given_up,) = told.all(InvocationGivenUp)
    assert (given_up.request_id, given_up.condition, given_up.attempts) == (request_id, "EventAgeExceeded", 0)


def test_success_goes_to_its_destination(serve, deployment):
    act, failures = deployment.functions["act"], deployment.functions["failures"]
    happy = replace(act, async_config=replace(act.async_config, on_success=act.arn.replace("act", "reserved")))
    told = Told()
    service = serve(told, deployment=replace(deployment, functions={**deployment.functions, "act": happy}))
    service.invoke_async("act", b'{"do": "tell"}')
    assert service.drain(20)
    assert [event.function for event in told.all(InvocationEnded)] == ["act", "reserved"]
    assert failures.arn.endswith("failures")


@pytest.fixture
def serve_one(serve, deployment):
    """A service of one function, which is another module's."""

    def start(watcher, handler, timeout_s, **options):
        function = replace(deployment.functions["act"], handler=handler, timeout_s=timeout_s)
        alone = replace(deployment, functions={"act": function}, buckets=(), mappings=(), rules=(), queues=())
        return serve(watcher, alone, **options)

    return start


def test_answer_comes_before_the_runtime_has_finished(serve_one):
    told = Told()
    service = serve_one(told, "lingers.handler", timeout_s=5)
    service.invoke("act", b'{"linger_s": 0}')
    started = time.monotonic()
    first = service.invoke("act", b'{"linger_s": 1}').payload
    assert time.monotonic() - started < 0.8
    assert not service.drain(0.05)
    second = service.invoke("act", b'{"linger_s": 0}').payload  # the first environment is not free yet
    assert second != first
    assert service.drain(10)
    lingering = max(told.all(InvocationEnded), key=lambda event: event.duration_ms)
    assert lingering.outcome is Outcome.OK
    assert lingering.duration_ms >= 1000


def test_runtime_that_does_not_come_back_in_time_is_ended_but_its_answer_stands(serve_one):
    told = Told()
    service = serve_one(told, "lingers.handler", timeout_s=1)
    assert service.invoke("act", b'{"linger_s": 60}').function_error is None
    assert service.drain(10)
    assert told.all(EnvironmentStopped)[0].reason == "timeout"


def test_slow_start_runs_on_in_the_functions_own_time(serve_one):
    told = Told()
    service = serve_one(told, "slow_init.handler", timeout_s=5, init_limit_s=0.1)
    assert service.invoke("act", b"{}").payload == b'"there"'
    assert service.drain(5)
    (ended,) = told.all(InvocationEnded)
    assert (ended.is_cold, ended.init_duration_ms) == (True, None)


def test_start_that_takes_the_functions_own_time_as_well_is_a_timeout(serve_one):
    service = serve_one(Told(), "slow_init.handler", timeout_s=1, init_limit_s=0)
    answer = json.loads(service.invoke("act", b"{}").payload)
    assert answer["errorType"] == "Sandbox.Timedout"


def test_bucket_that_s3_would_not_take_is_told(serve, deployment):
    with pytest.raises(TemplateError, match="bucket `X` cannot be made"):
        serve(deployment=replace(deployment, buckets=(BucketSpec("X"),)))
    with pytest.raises(TemplateError, match="bucket `twice` cannot be made"):
        serve(deployment=replace(deployment, buckets=(BucketSpec("twice"), BucketSpec("twice"))))


def test_log_dir_keeps_each_functions_log(serve, tmp_path):
    service = serve(log_dir=tmp_path / "logs")
    service.invoke("act", b'{"do": "tell"}')
    assert service.drain(10)  # the answer comes before the report
    service.stop()
    lines = (tmp_path / "logs" / "act.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["START", "call", "END", "REPORT"]


def test_environment_option_reaches_all_functions(serve):
    service = serve(environment={"EXTRA": "yes", "AWS_REGION": "eu-central-1"})
    seen = json.loads(service.invoke("act", b"{}").payload)["environment"]
    assert (seen["EXTRA"], seen["AWS_REGION"]) == ("yes", "eu-central-1")


def test_fixed_port_that_is_taken_is_told_and_leaves_nothing(serve, deployment, runtime):
    threads, port = threading.active_count(), free_port()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            LambdaService(deployment, runtime, ServiceOptions(lambda_port=port)).start()
    assert threading.active_count() <= threads
    serve(lambda_port=port)  # free again, and so is S3


def test_wrapper_that_is_not_there_is_told_at_the_start(serve, deployment):
    act = deployment.functions["act"]
    for wrapper in ("/opt/bin/none", "/opt/python/in_layer.py", "/var/task/none"):
        wrapped = replace(act, environment={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
        with pytest.raises(TemplateError, match=r"`act` has `AWS_LAMBDA_EXEC_WRAPPER="):
            serve(deployment=replace(deployment, functions={"act": wrapped}, rules=(), buckets=(), mappings=()))


def test_interpreter_that_is_not_there_fails_the_invocation_and_no_more(deployment, runtime, tmp_path, eventually):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with LambdaService(deployment, replace(runtime, python=python)) as service:
        assert service.invoke("act", b"{}").function_error is None
        told = Told()
        service.subscribe(told)
        os.kill(json.loads(service.invoke("act", b"{}").payload)["pid"], signal.SIGKILL)
        eventually(lambda: told.all(EnvironmentStopped))
        python.unlink()
        result = service.invoke("act", b"{}")
        assert json.loads(result.payload)["errorType"] == "Sandbox.Failure"
        assert service.drain(5)
