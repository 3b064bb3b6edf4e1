"""`report`, on what a local service of real processes sent: while it runs, and after."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from neuro_cli.project import find_project

KEY = "sub-01/anat/sub-01_T1w.nii.gz"
COMMAND = [sys.executable, "-m", "neuro_cli"]

pytestmark = pytest.mark.usefixtures("layers")


@pytest.fixture(scope="module")
def project(layers, tmp_path_factory):
    """The project with a build folder of its own, so that what this machine's user recorded stays out."""
    real, root = find_project(), tmp_path_factory.mktemp("project")
    for name in ("template.yaml", "functions", "layers"):
        (root / name).symlink_to(real.root / name)
    (root / ".build").mkdir()
    for name in ("layers", "lambda-runtime"):
        (root / ".build" / name).symlink_to(real.build / name)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def ask(project, tmp_path_factory):
    state = str(tmp_path_factory.mktemp("state"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | {
        "XDG_STATE_HOME": state
    }

    def call(*words, **more):
        command = [*COMMAND, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env | more, timeout=120)

    call.env = env
    return call


@contextlib.contextmanager
def running(project, env):
    words = ("local", "up", "--project", project, "--parameter", "VoxelSizeMm=3.0")
    process = subprocess.Popen([*COMMAND, *map(str, words)], stdout=subprocess.PIPE, text=True, env=env)
    try:
        lines = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            lines.append(process.stdout.readline())
            assert lines[-1]
        yield lines
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def reports(project, ask, dataset, tmp_path_factory):
    """The same scan's page, once while the service runs and once after; and of the broken scan."""
    folder = tmp_path_factory.mktemp("pages")
    with running(project, ask.env) as lines:
        assert any(line.startswith("telemetry    http://127.0.0.1:") for line in lines)
        ask("upload", dataset, "--wait")
        during = ask("report", "sub-01_T1w.nii.gz", "--project", project, "-o", folder / "during.html")
    after = ask("report", KEY, "--project", project, "-o", folder / "after.html")
    broken = ask("report", "sub-02_T1w.nii.gz", "--project", project, "-o", folder / "broken.html")
    assert [during.returncode, after.returncode, broken.returncode] == [0, 0, 0], during.stderr + after.stderr
    return {path.stem: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("moment", ["during", "after"])
def test_report_shows_one_trace_across_all_functions(reports, moment):
    for function in ("Conform", "SkullStrip", "BiasCorrect", "Normalize", "Report"):
        assert f'<span class="name">{function}</span><span class="chip cold">cold start</span>' in reports[moment]
    assert '<dt>functions</dt><dd class="">5</dd>' in reports[moment]


def test_report_begins_with_the_upload(reports):
    assert reports["during"].index('<span class="name">upload_file</span>') < reports["during"].index(">Conform<")


def test_report_of_a_refused_scan_shows_its_error(reports):
    assert '<span class="chip error">NOT_NIFTI</span>' in reports["broken"]
    assert "File failed validation" in reports["broken"]


def test_backend_of_the_user_s_own_gets_the_telemetry_instead(project, ask):
    sessions = project / ".build/local/telemetry"
    before = set(sessions.iterdir()) if sessions.is_dir() else set()
    with running(project, ask.env | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as lines:
        assert "telemetry    http://127.0.0.1:9\n" in lines
        assert not any("neuro-preprocess report" in line for line in lines)
    assert (set(sessions.iterdir()) if sessions.is_dir() else set()) == before
