"""External extensions in real environments: when they start, what they are told, what holds them up, how they end."""

import os
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from lambda_local import (
    EnvironmentStarted,
    EnvironmentStopped,
    InvocationEnded,
    Isolation,
    LogLine,
    Outcome,
)


@pytest.fixture(params=[Isolation.NAMESPACES, Isolation.PATHS])
def isolation(request, has_namespaces, lack):
    if request.param is Isolation.NAMESPACES and not has_namespaces:
        lack("no mount namespace can be made here")
    return request.param


def test_extension_is_started_first_and_sees_what_lambda_shows_it(serve_probe, act, probe, isolation):
    service = serve_probe(isolation=isolation)
    answer = act(service)
    assert service.drain(10)
    (registered,) = probe.said("registered")
    assert registered["registered"] == 200
    assert registered["content"] == {
        "functionName": "act",
        "functionVersion": "$LATEST",
        "handler": "act.handler",
        "accountId": "123456789012",
    }
    seen, own = registered["environment"], answer["environment"]
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "act"
    assert seen["AWS_LAMBDA_RUNTIME_API"] == own["AWS_LAMBDA_RUNTIME_API"]
    assert seen["OTEL_LAMBDA_COLLECTOR_HOST"] == own["OTEL_LAMBDA_COLLECTOR_HOST"]
    assert seen["TMPDIR"] == own["TMPDIR"]
    assert not {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_STREAM_NAME"} & set(seen)
    assert registered["opt"] is (isolation is Isolation.NAMESPACES)
    assert _started_at(registered["pid"]) < _started_at(answer["pid"])
    assert probe.platform_lines("EXTENSION") == ["EXTENSION\tName: probe\tState: Ready\tEvents: [INVOKE,SHUTDOWN]"]


def _started_at(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])  # in ticks since the machine was


def test_environments_have_addresses_of_their_own(serve_probe, act, eventually):
    service = serve_probe()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(act(service, "sleep", s=0.5))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hosts = {answer["environment"]["OTEL_LAMBDA_COLLECTOR_HOST"] for answer in answers}
    assert len(hosts) == 2
    assert all(host.startswith("127.") and host != "127.0.0.1" for host in hosts)


def test_extension_is_told_of_each_invocation(serve_probe, act, probe):
    service = serve_probe()
    answer = act(service)
    assert service.drain(10)
    (told,) = probe.told("INVOKE")
    assert told["requestId"] == answer["request_id"]
    assert told["invokedFunctionArn"] == answer["arn"]
    assert told["tracing"] == {"type": "X-Amzn-Trace-Id", "value": answer["trace_id"]}
    (said,) = [said for said in probe.said("event") if said["event"] == told]
    assert 3000 < told["deadlineMs"] - said["now_ms"] <= 5000


def test_caller_has_the_answer_before_the_extension_is_done(serve_probe, act, probe):
    service = serve_probe(asked={"invoke_s": 0.7})
    act(service)
    assert service.drain(10)
    began = time.monotonic()
    answer = act(service)
    assert time.monotonic() - began < 0.5
    assert answer["calls"] == 2
    assert service.drain(10)
    assert [event.duration_ms > 700 for event in probe.all(InvocationEnded)] == [True, True]


def test_extension_that_takes_the_rest_of_the_time_ends_the_environment_but_the_answer_stands(serve_probe, act, probe):
    service = serve_probe(asked={"invoke_s": 60, "subscribe": ["platform"]}, timeout_s=1)
    assert act(service)["calls"] == 1
    assert service.drain(10)
    (ended,) = probe.all(InvocationEnded)
    assert ended.outcome is Outcome.OK
    assert ended.duration_ms == pytest.approx(1000, abs=300)
    assert [event.reason for event in probe.all(EnvironmentStopped)] == ["timeout"]
    assert "Status: timeout" in probe.platform_lines("REPORT")[0]


def test_extension_without_invoke_is_left_in_peace(serve_probe, act, probe):
    service = serve_probe(asked={"events": ["SHUTDOWN"]})
    act(service)
    act(service)
    service.stop()
    assert not probe.told("INVOKE")
    assert [event["shutdownReason"] for event in probe.told("SHUTDOWN")] == ["spindown"]


def test_extension_without_shutdown_is_not_asked_to_end(serve_probe, act, probe):
    service = serve_probe(asked={"events": ["INVOKE"]})
    act(service)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 1.5
    assert not probe.told("SHUTDOWN")


def test_idle_environment_spins_down_with_a_word_to_the_extension(serve_probe, act, probe, eventually):
    service = serve_probe(idle_s=0.2)
    act(service)
    eventually(lambda: probe.all(EnvironmentStopped))
    (told,) = probe.told("SHUTDOWN")
    assert told["shutdownReason"] == "spindown"
    (said,) = [said for said in probe.said("event") if said["event"] == told]
    assert 1000 < told["deadlineMs"] - said["now_ms"] <= 2000
    assert probe.said("over")


def test_extension_that_does_not_end_is_killed_after_two_seconds(serve_probe, act, probe, alive):
    service = serve_probe(asked={"shutdown_s": 60})
    act(service)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began == pytest.approx(2.2, abs=0.6)
    assert not probe.said("over")


@pytest.mark.parametrize(
    ("event", "outcome", "reason", "error_type"),
    [
        ({"do": "exit"}, Outcome.CRASH, "failure", "Runtime.ExitError"),
        ({"do": "sleep", "s": 60}, Outcome.TIMEOUT, "timeout", "Sandbox.Timedout"),
        ({"do": "eat", "mb": 400}, Outcome.CRASH, "failure", "Runtime.OutOfMemory"),
    ],
)
def test_function_that_fails_takes_the_extension_with_it_and_both_start_again(
    serve_probe, probe, act, event, outcome, reason, error_type
):
    service = serve_probe(asked={"subscribe": ["platform"], "shutdown_s": 0.3}, timeout_s=2)
    act(service, "file", bytes=1)
    act(service, **event)
    assert service.drain(20)
    again = act(service, "file", bytes=1)
    assert service.drain(10)
    assert again["seen"] is True  # /tmp is the same
    assert [told["shutdownReason"] for told in probe.told("SHUTDOWN")] == [reason]
    assert len(probe.said("registered")) == 2
    ended = probe.all(InvocationEnded)
    assert (ended[1].outcome, ended[1].error_type) == (outcome, error_type)
    assert len({each.environment_id for each in ended}) == 1
    assert [each.is_cold for each in ended] == [True, False, True]
    # What the extension learns before it ends.
    status = "timeout" if reason == "timeout" else "failure"
    done = probe.telemetry("platform.runtimeDone")
    assert [(each["status"], each.get("errorType")) for each in done[:2]] == [("success", None), (status, error_type)]
    reports = probe.telemetry("platform.report")
    assert reports[1]["errorType"] == error_type
    assert reports[1]["status"] == ("timeout" if reason == "timeout" else "error")


@pytest.mark.parametrize(
    ("dies", "error_type"),
    [("unregistered", "Extension.Crash"), ("init error", "Extension.InitError")],
)
def test_extension_that_cannot_start_fails_the_function(serve_probe, act, probe, dies, error_type):
    service = serve_probe(asked={"dies": dies})
    assert act(service)["errorType"] == error_type
    assert service.drain(10)
    (ended,) = probe.all(InvocationEnded)
    assert ended.outcome is Outcome.CRASH
    init, invoke = probe.platform_lines("INIT_REPORT")
    assert f"Phase: init\tStatus: error\tError Type: {error_type}" in init
    assert f"Phase: invoke\tStatus: error\tError Type: {error_type}" in invoke


def test_extension_that_never_registers_uses_up_the_time(serve_probe, act, probe):
    service = serve_probe(asked={"dies": "never registers"}, timeout_s=1, init_limit_s=0.3)
    assert act(service)["errorType"] == "Sandbox.Timedout"
    assert service.drain(10)
    init, invoke = probe.platform_lines("INIT_REPORT")
    assert ("Phase: init\tStatus: timeout" in init, "Phase: invoke\tStatus: timeout" in invoke) == (True, True)
    assert not probe.all(EnvironmentStarted)  # the runtime was never started


def test_file_that_is_not_executable_fails_the_function(serve_probe, act, probe, tmp_path, deployment, runtime):
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "readme").write_text("not a program")
    service = serve_probe(layers=(str(tmp_path),))
    answer = act(service)
    assert answer["errorType"] == "Extension.LaunchError"
    assert "`readme` is not executable" in answer["errorMessage"]


@pytest.mark.parametrize(("dies", "error_type"), [("invoke", "Extension.Crash"), ("exit error", "Extension.ExitError")])
def test_extension_that_dies_in_an_invocation_fails_it(serve_probe, act, probe, dies, error_type):
    service = serve_probe(asked={"dies": dies})
    assert act(service, "sleep", s=2)["errorType"] == error_type
    assert service.drain(10)
    assert [event.reason for event in probe.all(EnvironmentStopped)] == ["failure"]


def test_extension_killed_between_invocations_is_started_again(serve_probe, act, probe, eventually):
    service = serve_probe()
    first = act(service, "file", bytes=1)
    assert service.drain(10)
    (pid,) = [pid for pid in _processes_of("act") if b"probe" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: probe.all(EnvironmentStopped))
    second = act(service, "file", bytes=1)
    assert service.drain(10)
    assert (first["seen"], second["seen"]) == (False, True)
    assert [event.outcome for event in probe.all(InvocationEnded)] == [Outcome.OK, Outcome.OK]


def _processes_of(function):
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if f"AWS_LAMBDA_FUNCTION_NAME={function}\0".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def test_idle_environment_is_frozen(serve_probe, act, probe):
    service = serve_probe(asked={"ticks": True})
    act(service)
    assert service.drain(10)
    time.sleep(1)
    frozen_at = len(probe.said("tick"))
    time.sleep(0.5)
    assert len(probe.said("tick")) == frozen_at
    act(service, "sleep", s=0.3)
    assert service.drain(10)
    moments = [said["tick"] for said in probe.said("tick")]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert max(gaps) > 1.4
    assert len(moments) > frozen_at + 5  # it goes on with the next event


def test_idle_environment_runs_on_if_it_is_not_to_be_frozen(serve_probe, act, probe):
    service = serve_probe(asked={"ticks": True}, freezes_idle=False)
    act(service)
    assert service.drain(10)
    before = len(probe.said("tick"))
    time.sleep(0.5)
    assert len(probe.said("tick")) > before + 5


def test_init_that_takes_too_long_is_begun_again_on_the_functions_time(serve_probe, act, probe):
    service = serve_probe(asked={"init_s": 0.5}, init_limit_s=0.2)
    assert act(service)["calls"] == 1
    assert service.drain(10)
    (ended,) = probe.all(InvocationEnded)
    assert (ended.is_cold, ended.init_duration_ms) == (True, None)
    assert ended.duration_ms > 500
    assert len(probe.said("registered")) == 2
    assert "Phase: init\tStatus: timeout" in probe.platform_lines("INIT_REPORT")[0]


def test_layers_lie_over_each_other_in_opt(serve_probe, act):
    service = serve_probe(layers=("first", "second", "probe"), isolation=Isolation.AUTO)
    path = act(service)["path"]
    assert [entry for entry in path if entry.endswith("/python")] == [path[2]]


def test_runtime_is_asked_to_end_and_killed_when_it_does_not(serve_probe, act, probe):
    service = serve_probe("graceful.handler")
    act(service)
    began = time.monotonic()
    service.stop()
    assert 0.3 < time.monotonic() - began < 1
    assert "asked to end" in [line.message for line in probe.all(LogLine)]
    assert probe.said("over")  # the extension had its turn


def test_runtime_that_ends_when_asked_is_not_waited_for(serve_probe, act, probe):
    service = serve_probe("graceful.handler")
    act(service, ends=True)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 0.3


def test_runtime_without_extensions_is_not_asked(serve_probe, act, probe):
    service = serve_probe("graceful.handler", layers=())
    act(service)
    service.stop()
    assert "asked to end" not in [line.message for line in probe.all(LogLine)]


def test_internal_extension_takes_part(serve_probe, act, probe):
    service = serve_probe("internal.handler", layers=())
    first = act(service)
    assert service.drain(10)
    second = act(service)
    assert service.drain(10)
    assert second["told"][0] == first["request_id"]
    assert second["late"] == [403, "Extension.RegistrationClosed"]
    assert all(ended.duration_ms > 300 for ended in probe.all(InvocationEnded))
    service.stop()
    assert "asked to end" in [line.message for line in probe.all(LogLine)]
