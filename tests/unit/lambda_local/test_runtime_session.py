import json
import threading
import time

import pytest

from lambda_local.runtime_api import (
    MAX_RESPONSE_BYTES,
    Invocation,
    ProtocolError,
    RuntimeAnswer,
    RuntimeSession,
    RuntimeState,
    new_trace_header,
)

DEADLINE_MS = 1_800_000_000_000


@pytest.fixture
def session():
    return RuntimeSession(threading.Condition(), "arn:function")


@pytest.fixture
def ask():
    """Calls `next` as a runtime does, in a thread, and gives what it got."""
    threads = []

    def start(session):
        got = []
        thread = threading.Thread(target=lambda: got.append(session.next()), daemon=True)
        thread.start()
        threads.append(thread)
        assert session.wait(lambda: session.state in (RuntimeState.IDLE, RuntimeState.ENDED), 5)

        def result():
            thread.join(5)
            return got[0]

        return result

    yield start
    assert all(not thread.is_alive() for thread in threads)


def test_session_hands_over_and_takes_the_answer(session, ask):
    assert not session.offer(Invocation("early", b"{}"), DEADLINE_MS)
    taken = ask(session)
    assert session.offer(Invocation("id-1", b'{"a":1}', trace_id="Root=1", client_context='{"custom":{}}'), DEADLINE_MS)
    invocation, headers = taken()
    assert invocation.payload == b'{"a":1}'
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:function"
    assert headers["Lambda-Runtime-Trace-Id"] == "Root=1"
    assert headers["Lambda-Runtime-Client-Context"] == '{"custom":{}}'
    assert headers["Lambda-Runtime-Deadline-Ms"] == str(DEADLINE_MS)
    assert not session.offer(Invocation("id-2", b"{}"), DEADLINE_MS)

    session.post_answer("id-1", RuntimeAnswer(b'"done"'))
    assert (session.state, session.answer) == (RuntimeState.ANSWERED, RuntimeAnswer(b'"done"'))
    taken = ask(session)
    session.end()
    assert taken() is None


def test_session_without_client_context_sends_no_header(session, ask):
    taken = ask(session)
    session.offer(Invocation("id", b"{}"), DEADLINE_MS)
    assert "Lambda-Runtime-Client-Context" not in taken()[1]


@pytest.mark.parametrize("request_id", ["other", ""])
def test_session_refuses_the_answer_of_another_invocation(session, ask, request_id):
    taken = ask(session)
    session.offer(Invocation("id", b"{}"), DEADLINE_MS)
    taken()
    with pytest.raises(ProtocolError) as refused:
        session.post_answer(request_id, RuntimeAnswer(b"1"))
    assert (refused.value.status, refused.value.error_type) == (400, "InvalidRequestID")
    assert session.answer is None


def test_session_refuses_a_second_answer(session, ask):
    taken = ask(session)
    session.offer(Invocation("id", b"{}"), DEADLINE_MS)
    taken()
    session.post_answer("id", RuntimeAnswer(b"1"))
    with pytest.raises(ProtocolError):
        session.post_answer("id", RuntimeAnswer(b"2"))


def test_session_makes_an_error_of_a_response_that_is_too_large(session, ask):
    taken = ask(session)
    session.offer(Invocation("id", b"{}"), DEADLINE_MS)
    taken()
    with pytest.raises(ProtocolError) as refused:
        session.post_answer("id", RuntimeAnswer(b"x" * (MAX_RESPONSE_BYTES + 1)))
    assert refused.value.status == 413
    assert session.answer.error_type == "Function.ResponseSizeTooLarge"
    assert json.loads(session.answer.payload)["errorType"] == "Function.ResponseSizeTooLarge"


def test_session_refuses_to_be_asked_while_an_answer_is_due(session, ask):
    taken = ask(session)
    session.offer(Invocation("id", b"{}"), DEADLINE_MS)
    taken()
    with pytest.raises(ProtocolError) as refused:
        session.next()
    assert refused.value.status == 403


def test_session_keeps_the_reason_of_a_failed_start(session):
    session.post_init_error(RuntimeAnswer(b"{}", "Runtime.ImportModuleError"))
    assert session.state is RuntimeState.INIT_FAILED
    session.end()
    assert session.init_error == RuntimeAnswer(b"{}", "Runtime.ImportModuleError")
    with pytest.raises(ProtocolError):
        session.post_init_error(RuntimeAnswer(b"{}", "again"))


def test_wait_ends_at_its_time(session):
    started = time.monotonic()
    assert not session.wait(lambda: False, 0.05)
    assert time.monotonic() - started == pytest.approx(0.05, abs=0.2)


def test_trace_headers_are_unique_and_unsampled():
    first, second = new_trace_header(), new_trace_header()
    assert first != second
    assert first.startswith("Root=1-")
    assert first.endswith(";Sampled=0")
