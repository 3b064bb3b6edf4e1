import threading

import pytest

from lambda_local.extensions_api import MAX_EXTENSIONS, ExtensionsSession, ExtensionState, invoke_event, shutdown_event
from lambda_local.runtime_api import ProtocolError

INVOKED = invoke_event("id-1", "arn", 1, "Root=1")


@pytest.fixture
def session():
    return ExtensionsSession(threading.Condition(), ["probe"])


@pytest.fixture
def ask():
    """Calls `next` as an extension does, in a thread, and gives what it got."""
    threads = []

    def start(session, extension):
        got = []
        thread = threading.Thread(target=lambda: got.append(session.next(extension.identifier)), daemon=True)
        thread.start()
        threads.append(thread)

        def result():
            thread.join(5)
            return got[0]

        return result

    yield start
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def until(condition):
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about")


def test_session_is_ready_when_all_have_registered_and_asked(session, ask):
    assert not session.are_registered
    extension = session.register("probe", ["INVOKE", "SHUTDOWN"])
    assert (session.are_registered, session.are_idle) == (True, False)
    taken = ask(session, extension)
    until(lambda: session.are_idle)
    session.offer(INVOKED)
    assert taken() == INVOKED
    assert not session.are_idle
    taken = ask(session, extension)
    until(lambda: session.are_idle)
    session.end()
    assert taken() is None


def test_session_keeps_an_event_for_an_extension_that_is_busy(session, ask):
    extension = session.register("probe", ["INVOKE", "SHUTDOWN"])
    taken = ask(session, extension)
    until(lambda: session.are_idle)
    session.offer(INVOKED)
    taken()
    shutdown = shutdown_event("timeout", 2)
    session.offer(shutdown)
    assert session.next(extension.identifier) == shutdown


def test_session_tells_only_who_registered_for_the_event(session, ask):
    extension = session.register("probe", ["SHUTDOWN"])
    taken = ask(session, extension)
    until(lambda: session.are_idle)
    session.offer(INVOKED)
    assert session.are_idle
    session.offer(shutdown_event("spindown", 2))
    assert taken()["shutdownReason"] == "spindown"


def test_session_takes_extensions_within_the_runtime(session):
    session.register("probe", [])
    internal = session.register("thread", ["INVOKE"])
    assert (internal.is_internal, session.has_internal) == (True, True)


@pytest.mark.parametrize(
    ("name", "events", "error_type"),
    [
        ("probe", ["RESTART"], "Extension.InvalidEventType"),
        ("thread", ["SHUTDOWN"], "Extension.InvalidEventType"),
    ],
)
def test_session_refuses_events_that_are_not_for_the_extension(session, name, events, error_type):
    with pytest.raises(ProtocolError) as refused:
        session.register(name, events)
    assert (refused.value.status, refused.value.error_type) == (403, error_type)
    assert not session.are_registered


def test_session_refuses_to_register_twice(session):
    session.register("probe", [])
    with pytest.raises(ProtocolError) as refused:
        session.register("probe", [])
    assert refused.value.error_type == "Extension.InvalidExtensionState"


def test_session_refuses_late_and_too_many_extensions(session):
    for number in range(MAX_EXTENSIONS - 1):
        session.register(f"thread-{number}", [])
    with pytest.raises(ProtocolError) as refused:
        session.register("one-more", [])
    assert refused.value.error_type == "Extension.TooManyExtensions"
    session.close_registration()
    with pytest.raises(ProtocolError) as refused:
        session.register("late", [])
    assert refused.value.error_type == "Extension.RegistrationClosed"
    session.register("probe", [])  # a process that was started may be slow


@pytest.mark.parametrize(
    ("identifier", "error_type"),
    [("", "Extension.MissingExtensionIdentifier"), ("stranger", "Extension.UnknownExtensionIdentifier")],
)
def test_session_refuses_who_has_not_registered(session, identifier, error_type):
    for call in (session.next, lambda given: session.fail(given, "Extension.InitError", "X")):
        with pytest.raises(ProtocolError) as refused:
            call(identifier)
        assert (refused.value.status, refused.value.error_type) == (403, error_type)


def test_session_keeps_why_an_extension_failed(session):
    extension = session.register("probe", [])
    assert session.failed is None
    session.fail(extension.identifier, "Extension.ExitError", "Probe.NoConfig")
    assert (session.failed, extension.state) == (extension, ExtensionState.FAILED)
    assert extension.error_type == "Probe.NoConfig"
    with pytest.raises(ProtocolError):
        session.next(extension.identifier)
