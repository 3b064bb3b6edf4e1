import subprocess
import sys

import pytest

FUNCTIONS = ["conform", "skull_strip", "bias_correct", "normalize", "report", "failure", "redrive"]
PROGRAM = """
import builtins, socket, sys
sys.path[:] = {path!r}

def refuse(*_args, **_kwargs):
    raise AssertionError("an import has effects")

socket.socket.connect = refuse
sys.addaudithook(lambda event, args: refuse() if event == "open" and "w" in str(args[1] or "") else None)
import {function}.app
assert callable({function}.app.handler)
assert "boto3" not in sys.modules, "clients are made when first needed"
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_imports_without_environment_network_or_client(function):
    program = PROGRAM.format(path=sys.path, function=function)

    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program], env={}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
