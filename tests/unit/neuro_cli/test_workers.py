import importlib
import os
import signal
import sys
import time

import pytest

from neuro_cli.inprocess.workers import Crashed, Finished, Stepped, run_in_processes

TASKS = """\
import os, signal, time

def double(number, on_step):
    on_step("thinking")
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * 2, os.getpid()

def sleep(seconds, on_step):
    on_step("sleeping")
    time.sleep(seconds)

def threads(_, on_step):
    return os.environ["OPENBLAS_NUM_THREADS"]
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module that another process can import, as it cannot this one."""
    (tmp_path / "tasks_of_workers.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("tasks_of_workers")
    del sys.modules["tasks_of_workers"]


def test_results_come_with_their_items_and_steps(tasks):
    messages = list(run_in_processes(tasks.double, [1, 2, 3], jobs=2))
    results = {message.item: message.result[0] for message in messages if isinstance(message, Finished)}
    assert results == {1: 2, 2: 4, 3: 6}
    assert sorted(message.item for message in messages if isinstance(message, Stepped)) == [1, 2, 3]


def test_a_worker_does_one_item_after_another(tasks):
    pids = {m.result[1] for m in run_in_processes(tasks.double, range(4), jobs=1) if isinstance(m, Finished)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_dead_worker_loses_its_own_item_only(tasks):
    messages = list(run_in_processes(tasks.double, [1, 13, 3, 4], jobs=1))
    assert [m for m in messages if isinstance(m, Crashed)] == [Crashed(13, -signal.SIGKILL)]
    assert sorted(m.item for m in messages if isinstance(m, Finished)) == [1, 3, 4]


def test_leaving_early_ends_the_workers(tasks):
    messages = run_in_processes(tasks.sleep, [60, 60], jobs=2)
    assert isinstance(next(messages), Stepped)
    started = time.monotonic()
    messages.close()
    assert time.monotonic() - started < 5


def test_each_worker_has_one_thread_and_this_process_keeps_its_own(tasks, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    (message,) = run_in_processes(tasks.threads, [0], jobs=1)
    assert message.result == "1"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"


def test_nothing_to_do_starts_nothing(tasks):
    assert list(run_in_processes(tasks.double, [], jobs=3)) == []
