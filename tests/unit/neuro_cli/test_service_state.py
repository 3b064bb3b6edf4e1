import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neuro_cli.deployed.service_state import ServiceState, announced, running_service, state_path


@pytest.fixture
def state():
    return ServiceState(
        pid=os.getpid(),
        s3_url="http://127.0.0.1:1",
        lambda_url="http://127.0.0.1:2",
        region="us-east-1",
        raw_bucket="r",
        work_bucket="w",
        derivatives_bucket="d",
        functions={"Conform": "local-Conform"},
    )


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_no_service_is_found_where_none_was_announced():
    assert running_service() is None


def test_announced_service_is_found_while_it_lasts(state):
    with announced(state):
        assert running_service() == state
    assert running_service() is None
    assert not state_path().exists()


def test_service_of_a_dead_process_is_none(state):
    with announced(replace(state, pid=dead_pid())):
        assert running_service() is None


def test_first_service_leaves_the_second_one_s_announcement_alone(state):
    later = replace(state, s3_url="http://127.0.0.1:3")
    with announced(later):
        with announced(state):
            state_path().write_text(json.dumps(later.__dict__))
        assert running_service() == later


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', "not json"])
def test_what_is_no_announcement_is_ignored(content):
    state_path().parent.mkdir(parents=True)
    state_path().write_text(content)
    assert running_service() is None


def test_state_lies_in_the_home_folder_where_nothing_else_is_said(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert state_path({}) == Path("/home/someone/.local/state/neuro-preprocess/local-service.json")
