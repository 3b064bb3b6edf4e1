"""Synchronous invocations: what a function sees, and what its caller gets when it fails."""

import base64
import json
import sys
import threading
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lambda_local import (
    EnvironmentStarted,
    EnvironmentStopped,
    FunctionNotFoundError,
    InvocationEnded,
    Isolation,
    Outcome,
    PayloadError,
    ServiceOptions,
    ThrottledError,
)


@pytest.fixture(scope="module", params=[Isolation.NAMESPACES, Isolation.PATHS])
def options(request, has_namespaces, lack):
    if request.param is Isolation.NAMESPACES and not has_namespaces:
        lack("no mount namespace can be made here")
    return ServiceOptions(time_scale=0.002, isolation=request.param)


@pytest.fixture(scope="module")
def aws(service):
    session = boto3.session.Session("tester", "local", region_name="us-east-1")
    return session.client("lambda", endpoint_url=service.lambda_url, config=Config(retries={"total_max_attempts": 1}))


def test_function_sees_what_it_would_in_lambda(call, deployment, service):
    answer, result = call("act", do="tell", text="héllo")
    environment = answer["environment"]
    assert answer["event"] == {"do": "tell", "text": "héllo"}
    assert answer["request_id"] == result.request_id
    assert answer["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:act"
    assert 0 < answer["remaining_ms"] <= 2000
    assert answer["trace_id"].startswith("Root=1-")
    assert answer["client_context"] is None
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "act"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environment["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert environment["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/act"
    assert "[$LATEST]" in environment["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python3.")
    assert environment["_HANDLER"] == "act.handler"
    is_mounted = service.isolation is Isolation.NAMESPACES
    task_root = "/var/task" if is_mounted else str(deployment.functions["act"].code_dir)
    assert environment["LAMBDA_TASK_ROOT"] == answer["path"][0] == task_root
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    opt = answer["path"][2].removesuffix("/python")
    assert answer["path"][1:4] == [
        f"{opt}/python/lib/{version}/site-packages",
        f"{opt}/python",
        environment["LAMBDA_RUNTIME_DIR"],
    ]
    if is_mounted:
        assert (opt, environment["LAMBDA_RUNTIME_DIR"], environment["TMPDIR"]) == ("/opt", "/var/runtime", "/tmp")


def test_function_sees_nothing_of_the_host(call, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    answer, _ = call("reserved", do="tell")
    assert "SECRET_OF_THE_HOST" not in answer["environment"]
    assert answer["environment"]["HOME"] == answer["environment"]["TMPDIR"]
    assert answer["environment"]["AWS_ENDPOINT_URL_S3"].startswith("http://127.0.0.1:")
    assert not any("lambda_local" in entry and "tests" not in entry for entry in answer["path"])


def test_warm_environment_is_reused(call, watcher):
    first, _ = call("act", do="tell")
    second, _ = call("act", do="tell")
    assert second["pid"] == first["pid"]
    assert second["calls"] == first["calls"] + 1
    ended = watcher.wait(InvocationEnded, 2, function="act")
    assert not ended[1].is_cold
    assert ended[1].init_duration_ms is None
    assert ended[1].environment_id == ended[0].environment_id


def test_tmp_is_kept_between_invocations_and_through_a_crash(call, watcher, service):
    first, _ = call("reserved", do="file", bytes=10)
    second, _ = call("reserved", do="file", bytes=10)
    assert (first["seen"], second["seen"]) == (False, True)
    assert second["dir"] == first["dir"]
    call("reserved", do="exit")
    assert service.drain(20)
    third, _ = call("reserved", do="file", bytes=10)
    assert (third["seen"], third["dir"]) == (True, first["dir"])
    ended = watcher.wait(InvocationEnded, 4, function="reserved")
    assert len({event.environment_id for event in ended}) == 1
    assert (ended[3].is_cold, ended[3].init_duration_ms) == (True, None)  # begun again, on the invocation's time


def test_a_file_beyond_the_ephemeral_storage_cannot_be_written(call):
    answer, result = call("act", do="file", bytes=600 << 20)
    assert result.function_error == "Unhandled"
    # The function has 128 MB: which of the two limits it meets first is a matter of the machine.
    assert answer["errorType"] in ("OSError", "Runtime.ExitError")


def test_raised_error_is_answered_and_the_environment_lives_on(call, watcher):
    before, _ = call("act", do="tell")
    answer, result = call("act", do="raise")
    assert (result.status_code, result.function_error) == (200, "Unhandled")
    assert answer["errorType"] == "DemandedError"
    assert answer["errorMessage"] == "as demanded"
    assert answer["requestId"] == result.request_id
    assert "act.py" in answer["stackTrace"][-1]
    after, _ = call("act", do="tell")
    assert after["pid"] == before["pid"]
    (ended,) = watcher.wait(InvocationEnded, request_id=result.request_id)
    assert (ended.outcome, ended.error_type) == (Outcome.ERROR, "DemandedError")
    (trace,) = [line for line in watcher.log(request_id=result.request_id) if line.startswith("[ERROR]")]
    assert "DemandedError: as demanded\nTraceback" in trace


@pytest.mark.parametrize(("do", "reason"), [("exit", "exit status 3"), ("kill", "signal: killed")])
def test_process_that_ends_is_a_crash_and_is_replaced(call, watcher, do, reason):
    answer, result = call("act", do=do)
    assert result.function_error == "Unhandled"
    assert answer == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {result.request_id} Error: Runtime exited with error: {reason}",
    }
    (ended,) = watcher.wait(InvocationEnded, request_id=result.request_id)
    assert ended.outcome is Outcome.CRASH
    watcher.wait(EnvironmentStopped, environment_id=ended.environment_id, reason="failure")
    after, _ = call("act", do="tell")
    assert after["calls"] == 1


def test_timeout_kills_the_whole_group(call, watcher, alive, eventually):
    started = time.monotonic()
    answer, result = call("act", do="spawn", s=60)
    assert 2 <= time.monotonic() - started < 6
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Task timed out after 2.00 seconds")
    (ended,) = watcher.wait(InvocationEnded, request_id=result.request_id)
    assert ended.outcome is Outcome.TIMEOUT
    assert ended.duration_ms >= 2000
    watcher.wait(EnvironmentStopped, environment_id=ended.environment_id, reason="timeout")
    (child,) = [line.split()[1] for line in watcher.log(request_id=result.request_id) if line.startswith("child")]
    eventually(lambda: not alive(child))
    assert any("Status: timeout" in line for line in watcher.log(request_id=result.request_id))


def test_memory_beyond_the_limit_kills(call, watcher):
    answer, result = call("act", do="eat", mb=300)
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("signal: killed")
    (ended,) = watcher.wait(InvocationEnded, request_id=result.request_id)
    assert ended.max_memory_mb > 128


@pytest.mark.parametrize(
    ("function", "error_type"), [("broken", "Runtime.ImportModuleError"), ("exits-at-init", "Runtime.ExitError")]
)
def test_function_that_cannot_start_says_why(call, watcher, service, function, error_type):
    for _ in range(2):
        answer, result = call(function)
        assert service.drain(20)
        assert result.function_error == "Unhandled"
        assert answer["errorType"] == error_type
    ended = watcher.wait(InvocationEnded, 2, function=function)
    assert all(event.is_cold and event.init_duration_ms is None for event in ended)
    # The init phase fails, and so does the init of each invocation.
    assert len(watcher.wait(EnvironmentStarted, 3, function=function)) == 3


def test_wrapper_and_layers_do_what_they_do_in_lambda(call):
    answer, _ = call("wrapped")
    assert answer == {"layer": "second", "wrapped": "yes"}


def test_other_services_are_told_not_to_be_emulated(call):
    answer, _ = call("act", do="call", service="dynamodb")
    assert "NotEmulatedException" in answer["errorMessage"]


def test_response_of_six_megabytes_passes_and_a_larger_one_is_an_error(call):
    answer, result = call("reserved", do="answer", bytes=6 << 20)
    assert (len(answer), result.function_error) == (6 << 20, None)
    answer, result = call("reserved", do="answer", bytes=(6 << 20) + 1000)
    assert answer["errorType"] == "Function.ResponseSizeTooLarge"
    assert call("reserved", do="tell")[1].function_error is None


def test_invocations_at_once_have_processes_of_their_own_and_the_reserved_limit_holds(service, call, watcher):
    answers = []

    def invoke():
        answers.append(call("reserved", do="sleep", s=0.5)[0])

    threads = [threading.Thread(target=invoke) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Both are running now, so that a third finds no room.
    from lambda_local import InvocationStarted

    watcher.wait(InvocationStarted, 2, function="reserved")
    with pytest.raises(ThrottledError) as throttled:
        service.invoke("reserved", b"{}")
    assert throttled.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    for thread in threads:
        thread.join()
    assert len({answer["pid"] for answer in answers}) == 2
    watcher.wait(InvocationEnded, function="reserved", outcome=Outcome.THROTTLED)


@pytest.mark.parametrize(
    ("function", "payload", "error", "message"),
    [
        ("nobody", b"{}", FunctionNotFoundError, "no function `nobody`; there are act, broken"),
        ("act", b"{not json", PayloadError, "not JSON"),
        ("act", '"é"'.encode("latin-1"), PayloadError, "not JSON"),
        ("act", b'"' + b"x" * (6 << 20) + b'"', PayloadError, "Lambda takes 6291456"),
    ],
)
def test_invoke_refuses_what_lambda_refuses(service, function, payload, error, message):
    with pytest.raises(error, match=message):
        service.invoke(function, payload)


def test_invoke_async_refuses_more_than_a_megabyte(service):
    with pytest.raises(PayloadError, match="Lambda takes 1048576"):
        service.invoke_async("act", b'"' + b"x" * (1 << 20) + b'"')


def test_boto3_invokes_with_context_and_log(aws):
    context = base64.b64encode(json.dumps({"custom": {"who": "tester"}}).encode()).decode()
    answer = aws.invoke(FunctionName="act", Payload=b'{"do": "tell"}', LogType="Tail", ClientContext=context)
    payload = json.loads(answer["Payload"].read())
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert answer["ResponseMetadata"]["RequestId"] == payload["request_id"]
    assert payload["client_context"] == {"who": "tester"}
    log = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert log[0].startswith("START RequestId: " + payload["request_id"])
    assert "call" in log[1]
    assert log[2].startswith("END RequestId")
    assert log[3].startswith("REPORT RequestId")


def test_boto3_is_told_of_a_function_error(aws):
    answer = aws.invoke(FunctionName="arn:aws:lambda:us-east-1:123456789012:function:act", Payload=b'{"do": "raise"}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "DemandedError"


def test_boto3_without_payload_sends_an_empty_event(aws):
    assert json.loads(aws.invoke(FunctionName="act:$LATEST")["Payload"].read())["event"] == {}


def test_boto3_queues_events_and_tries_dry(aws, watcher):
    answer = aws.invoke(FunctionName="act", InvocationType="Event", Payload=b'{"do": "tell"}')
    assert answer["StatusCode"] == 202
    watcher.wait(InvocationEnded, request_id=answer["ResponseMetadata"]["RequestId"], outcome=Outcome.OK)
    assert aws.invoke(FunctionName="act", InvocationType="DryRun")["StatusCode"] == 204
    assert len(watcher.all(InvocationEnded)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ({"FunctionName": "nobody"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "nobody", "InvocationType": "Event"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "act", "Payload": b"{not json"}, "InvalidRequestContentException", 400),
        ({"FunctionName": "act", "Payload": b'"' + b"x" * (6 << 20) + b'"'}, "RequestTooLargeException", 413),
        ({"FunctionName": "act", "InvocationType": "Sometimes"}, "InvalidParameterValueException", 400),
        ({"FunctionName": "act", "ClientContext": "not base64!"}, "InvalidRequestContentException", 400),
    ],
)
def test_boto3_is_refused_as_lambda_refuses(aws, arguments, code, status):
    with pytest.raises(ClientError) as refused:
        aws.invoke(**arguments)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_boto3_is_throttled(service, aws, call, watcher):
    from lambda_local import InvocationStarted

    threads = [threading.Thread(target=call, args=("reserved",), kwargs={"do": "sleep", "s": 0.3}) for _ in range(2)]
    for thread in threads:
        thread.start()
    watcher.wait(InvocationStarted, 2, function="reserved")
    with pytest.raises(ClientError) as throttled:
        aws.invoke(FunctionName="reserved")
    for thread in threads:
        thread.join()
    assert throttled.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert throttled.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_boto3_is_told_what_is_not_emulated(aws):
    with pytest.raises(ClientError) as refused:
        aws.list_functions()
    assert refused.value.response["Error"]["Code"] == "NotEmulatedException"
