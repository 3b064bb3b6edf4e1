import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from lambda_local import EnvironmentStarted, InvocationEnded, InvocationStarted
from neuro_cli.telemetry.cost import Cost, CpuMeter, ProcessCpu, read_cost
from neuro_cli.telemetry.metric_totals import Totals

SPIN = "import sys, time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\nsys.stdin.read()"


def event(kind, **known):
    """An event of which only this matters here."""
    return kind(**{field.name: known.get(field.name) for field in fields(kind)})


STARTED, ENDED = event(InvocationStarted, is_cold=True), event(InvocationEnded)


@pytest.fixture
def spinning():
    """Start a program that uses 0.2 s of CPU and then waits; gives its process once it waits."""
    running = []

    def start(*command):
        process = subprocess.Popen([*command, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def extension(tmp_path, lack):
    """An interpreter that lies where extensions do."""
    folder = tmp_path / "opt" / "extensions"
    folder.mkdir(parents=True)
    path = Path(shutil.copy(Path(sys.executable).resolve(), folder / "collector"))
    done = subprocess.run([path, "-c", ""], capture_output=True, check=False)
    if done.returncode:
        lack("this interpreter does not run from elsewhere")
    return path


def used(folder):
    return read_cost(folder, Totals()).processes


def test_functions_are_the_processes_of_environments_and_no_others(tmp_path, spinning):
    meter = CpuMeter(tmp_path)
    function = spinning(sys.executable)
    spinning(sys.executable)  # not of an environment
    meter(event(EnvironmentStarted, pid=function.pid))
    meter(ENDED)
    assert 0.19 < used(tmp_path).functions_s < 0.38
    assert used(tmp_path).extension_s == used(tmp_path).extension_start_s == 0


def test_extension_s_start_is_told_apart_from_its_work(tmp_path, spinning, extension):
    meter = CpuMeter(tmp_path)
    spinning(str(extension))
    meter(STARTED)
    assert 0.19 < used(tmp_path).extension_start_s < 0.38
    assert used(tmp_path).extension_s == 0
    assert used(tmp_path).functions_s == 0


def test_what_a_process_used_counts_after_its_end(tmp_path, spinning):
    meter = CpuMeter(tmp_path)
    function = spinning(sys.executable)
    meter(event(EnvironmentStarted, pid=function.pid))
    meter(ENDED)
    function.kill()
    function.communicate()
    meter(ENDED)
    assert used(tmp_path).functions_s > 0.19


def test_cost_since_an_earlier_look_is_the_difference():
    earlier = Cost(ProcessCpu(functions_s=5.0, extension_start_s=0.2, extension_s=0.1), layer_init_s=1.0, layer_s=0.1)
    later = Cost(ProcessCpu(functions_s=8.0, extension_start_s=0.2, extension_s=0.3), layer_init_s=1.0, layer_s=0.4)
    since = later.since(earlier)
    assert since.layer_s == pytest.approx(0.3)
    assert since.running_share == pytest.approx(0.5 / 3.2)
    assert later.since(Cost(earlier.processes, None, None)).layer_s == 0.4  # the layer had said nothing yet
    assert Cost(later.processes, None, None).since(earlier).running_share is None


def test_share_of_cold_starts_is_told_apart():
    cost = Cost(ProcessCpu(functions_s=9.0, extension_start_s=0.2, extension_s=0.8), layer_init_s=1.0, layer_s=0.1)
    assert cost.everything_s == 10.0
    assert cost.running_share == pytest.approx(0.9 / 8.8)
    assert cost.whole_share == pytest.approx(0.21)


@pytest.mark.parametrize("content", ["", "[]", '{"functions_s": 1}', "{"])
def test_file_that_cannot_be_read_is_no_measurement(tmp_path, content):
    (tmp_path / "cpu.json").write_text(content)
    assert read_cost(tmp_path, Totals()) is None
