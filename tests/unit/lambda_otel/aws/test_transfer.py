import threading
from types import SimpleNamespace

import pytest
from opentelemetry.context import attach, detach, get_value, set_value
from s3transfer import futures

from lambda_otel.aws.transfer import hook


@pytest.fixture
def executor_class():
    class BoundedExecutor(futures.BoundedExecutor):
        """One of its own, so that no other test is hooked."""

    BoundedExecutor.submit = futures.BoundedExecutor.submit
    hook(SimpleNamespace(BoundedExecutor=BoundedExecutor))
    return BoundedExecutor


class Task:
    """As s3transfer's: it has an id, and is called with botocore's own context."""

    transfer_id = 7

    def __init__(self, function):
        self._function = function

    def __call__(self, ctx=None):
        return self._function()


@pytest.fixture
def in_context():
    token = attach(set_value("who", "parent"))
    yield
    detach(token)


@pytest.mark.usefixtures("in_context")
def test_task_runs_in_the_context_it_was_submitted_in(executor_class):
    executor = executor_class(max_size=10, max_num_threads=1)

    seen = executor.submit(Task(lambda: (get_value("who"), threading.get_ident()))).result()

    assert seen[0] == "parent"
    assert seen[1] != threading.get_ident()
    executor.shutdown()


@pytest.mark.usefixtures("in_context")
def test_task_that_submits_a_task_passes_the_context_on(executor_class):
    outer, inner = executor_class(10, 1), executor_class(10, 1)

    future = outer.submit(Task(lambda: inner.submit(Task(lambda: get_value("who"))))).result()

    assert future.result() == "parent"
    outer.shutdown()
    inner.shutdown()


def test_thread_has_no_context_left_after_a_task(executor_class):
    executor = executor_class(10, 1)

    def fail():
        raise OSError("the task's own")

    token = attach(set_value("who", "first"))
    executor.submit(Task(lambda: None)).result()
    with pytest.raises(OSError, match="the task's own"):
        executor.submit(Task(fail)).result()
    detach(token)

    assert executor._executor.submit(lambda: get_value("who")).result() is None
    executor.shutdown()


def test_semaphore_of_a_tag_still_counts(executor_class):
    tag = object()
    semaphore = futures.TaskSemaphore(1)
    executor = executor_class(10, 1, tag_semaphores={tag: semaphore})

    assert executor.submit(Task(lambda: 1), tag=tag).result() == 1
    assert executor.submit(Task(lambda: 2), tag, False).result() == 2
    executor.shutdown()
