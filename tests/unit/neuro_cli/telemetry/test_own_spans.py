"""In processes of their own: OpenTelemetry's provider is set once a process."""

import os
import subprocess
import sys

import pytest

from neuro_cli.telemetry.otlp_files import OtlpFiles
from neuro_cli.telemetry.recording import load_recording
from neuro_cli.telemetry.sink import OtlpSink

SCRIPT = """
import sys
from opentelemetry import trace
from neuro_cli.telemetry.own_spans import own_spans, post_to
{before}
with own_spans(post_to(sys.argv[1])):
    with trace.get_tracer("t").start_as_current_span("upload_file"):
        pass
with trace.get_tracer("t").start_as_current_span("later"):
    pass
print("done")
"""
OWN_SDK = "from opentelemetry.sdk.trace import TracerProvider\ntrace.set_tracer_provider(TracerProvider())"


def run(url, before=""):
    command = [sys.executable, "-c", SCRIPT.format(before=before), url]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ, timeout=60)


@pytest.fixture
def sink(tmp_path):
    with OtlpSink(OtlpFiles(tmp_path)) as sink:
        yield sink


def names(folder):
    return [(span.name, span.writer) for span in load_recording(folder).spans()]


def test_spans_within_the_block_are_recorded(sink, tmp_path):
    run(sink.url)
    assert names(tmp_path) == [("upload_file", "neuro-preprocess")]


def test_sdk_that_is_there_already_stays(sink, tmp_path):
    run(sink.url, OWN_SDK)
    assert names(tmp_path) == []


def test_sink_that_is_gone_does_no_harm():
    done = run("http://127.0.0.1:9")
    assert (done.stdout, done.stderr) == ("done\n", "")
