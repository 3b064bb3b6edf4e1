import logging

from neuro_cli.inprocess.faults import fault_of
from neuro_preprocess.errors import InputFault, InvalidInputError, StageError


def test_refused_scan_keeps_its_code_and_gets_a_hint():
    fault = fault_of(InvalidInputError(InputFault.TRUNCATED, "the file ends early"))
    assert (fault.code, fault.message) == ("TRUNCATED", "the file ends early")
    assert "copy or export it again" in fault.hint


def test_failed_stage_keeps_its_code():
    assert fault_of(StageError("it did not converge")).code == "stage_failed"


def test_lack_of_memory_is_told():
    assert fault_of(MemoryError()).code == "OUT_OF_MEMORY"


def test_unforeseen_error_is_logged_with_its_traceback(caplog):
    with caplog.at_level(logging.ERROR):
        fault = fault_of(ZeroDivisionError("division by zero"))
    assert fault.code == "ZeroDivisionError"
    assert "report it" in fault.hint
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
