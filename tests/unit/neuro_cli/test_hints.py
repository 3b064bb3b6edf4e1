import pytest

from neuro_cli.hints import hint_for
from neuro_preprocess.errors import InputFault


@pytest.mark.parametrize("fault", InputFault)
def test_every_fault_has_a_hint(fault):
    assert hint_for(str(fault)) != ""


def test_unknown_code_has_none():
    assert hint_for("TransientError") == ""
