import pytest

from neuro_cli.telemetry.cost import Cost, ProcessCpu
from neuro_cli.telemetry.session import Recorded
from neuro_cli.terminal.telemetry_words import telemetry_lines

COST = Cost(ProcessCpu(functions_s=9.0, extension_start_s=0.2, extension_s=0.8), layer_init_s=1.0, layer_s=0.1)
WARM = Cost(ProcessCpu(functions_s=3.98, extension_start_s=0, extension_s=0.02), layer_init_s=0, layer_s=0.01)


@pytest.fixture
def lines(record, scan, writer, make, tmp_path):
    def lines(*, cost=COST, warm=WARM, metrics=()):
        return telemetry_lines(Recorded(tmp_path, record(**scan, metrics=metrics), cost), warm)

    return lines


def test_what_came_is_counted(lines, writer, make):
    body = writer().metrics(make["total"]("c", 1), make["total"]("c", 1, x="y"))
    assert lines(metrics=[body])[0] == "telemetry    7 spans, 2 log records, 2 metric points; dropped 0; 1 cold start"


def test_losses_of_layer_and_extension_are_added_and_nothing_else(lines, writer, make):
    body = writer().metrics(
        make["total"]("lambda_otel.dropped", 2, reason="queue_full", signal="traces"),
        make["total"]("lambda_collector.items", 3, outcome="lost", signal="logs"),
        make["total"]("lambda_collector.items", 4, outcome="refused", signal="logs"),
        make["total"]("lambda_collector.items", 50, outcome="sent", signal="logs"),
    )
    assert "dropped 9;" in lines(metrics=[body])[0]


def test_cost_is_told_if_it_is_known(lines):
    assert lines()[1:] == [
        "its cost     0.75 % of the CPU time of a scan in warm functions; 21.00 % of all, cold starts included"
    ]
    assert lines(cost=None)[1:] == []
    assert lines(cost=Cost(COST.processes, None, None))[1:] == []
    assert lines(warm=None)[1:] == []
    assert lines(warm=Cost(WARM.processes, None, None))[1:] == []


def test_no_telemetry_is_told(record, tmp_path):
    assert telemetry_lines(Recorded(tmp_path, record(), COST), WARM) == ["telemetry    none was received"]
