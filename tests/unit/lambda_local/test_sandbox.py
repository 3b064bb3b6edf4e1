import json
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_local import FunctionSpec, Isolation, IsolationError, RuntimeConfig, TemplateError, _sandbox
from lambda_local._launch import check_wrapper, extension_names, extension_variables, find_file, runtime_variables
from lambda_local._sandbox import Sandbox, Sandboxes


@pytest.fixture
def runtime():
    return RuntimeConfig(Path(sys.executable), Path(sysconfig.get_path("purelib")))


@pytest.fixture
def function(tmp_path):
    """A function of two layers, each with an extension; both have the same wrapper."""
    for name in ("first", "second"):
        extensions = tmp_path / name / "extensions"
        extensions.mkdir(parents=True)
        (extensions / f"from-{name}").write_text("")
        (extensions / "a-folder").mkdir()
        (tmp_path / name / "wrapper").write_text(name)
        (tmp_path / name / "wrapper").chmod(0o755)
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text("")
    return FunctionSpec(
        logical_id="F",
        name="f",
        arn="arn:aws:lambda:us-east-1:123456789012:function:f",
        handler="app.handler",
        runtime="python3.13",
        code_dir=code,
        layer_dirs=(tmp_path / "first", tmp_path / "second"),
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper", "PYTHONPATH": "/mine"},
    )


@pytest.fixture
def no_namespaces(tmp_path, monkeypatch):
    script = tmp_path / "enter.py"
    script.write_text("import sys; sys.exit('OSError: not permitted')")
    monkeypatch.setattr(_sandbox, "_ENTER", script)


@pytest.mark.usefixtures("no_namespaces")
def test_sandboxes_fall_back_to_paths_where_there_are_no_namespaces(tmp_path, runtime, function):
    sandboxes = Sandboxes(tmp_path / "root", runtime, Isolation.AUTO)
    assert sandboxes.isolation is Isolation.PATHS
    sandbox = sandboxes.open(function, "0a0b0c" * 5, tmp_path / "environment")
    assert sandbox.task_dir == str(function.code_dir)
    assert sandbox.tmp_dir == str(tmp_path / "environment" / "tmp")
    assert Path(sandbox.opt_dir, "wrapper").read_text() == "second"
    assert sandbox.command(["program"]) == ["program"]
    assert sandbox.address == "127.11.12.13"


@pytest.mark.usefixtures("no_namespaces")
def test_sandboxes_say_why_there_are_no_namespaces(tmp_path, runtime):
    with pytest.raises(IsolationError, match="namespaces of their own: OSError: not permitted"):
        Sandboxes(tmp_path / "root", runtime, Isolation.NAMESPACES)


def test_sandboxes_give_no_namespaces_to_an_interpreter_below_opt(tmp_path, runtime, monkeypatch):
    monkeypatch.setattr(_sandbox, "_ENTER", Path("/opt/somewhere/enter.py"))
    with pytest.raises(IsolationError, match="lies below `/opt`"):
        Sandboxes(tmp_path / "root", runtime, Isolation.NAMESPACES)


def test_sandboxes_lay_the_layers_of_a_function_over_each_other_once(tmp_path, runtime, function):
    sandboxes = Sandboxes(tmp_path / "root", runtime, Isolation.PATHS)
    first = sandboxes.open(function, "0" * 30, tmp_path / "one")
    second = sandboxes.open(replace(function, name="g"), "1" * 30, tmp_path / "two")
    assert first.opt_dir == second.opt_dir
    assert first.address != second.address


def test_plan_keeps_what_the_interpreter_needs_below_what_is_mounted_over(tmp_path, runtime, function, monkeypatch):
    monkeypatch.setattr(_sandbox, "_HIDDEN", (tmp_path,))
    sandboxes = Sandboxes(tmp_path / "root", runtime, Isolation.PATHS)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    sandboxes._runtime = replace(runtime, python=python)
    plan = json.loads(sandboxes._plan(function.code_dir, tmp_path, tmp_path, (), None))
    assert str(tmp_path / "bin") in plan["kept"]


def test_find_file_takes_the_later_layers(function, tmp_path):
    assert find_file(function, "/opt/wrapper") == tmp_path / "second" / "wrapper"
    assert find_file(function, "/opt/extensions/from-first") == tmp_path / "first" / "extensions" / "from-first"
    assert find_file(function, "/var/task/app.py") == function.code_dir / "app.py"
    assert find_file(function, "/opt/nothing") is None


def test_extension_names_are_the_files_of_all_layers(function):
    assert extension_names(function) == ("from-first", "from-second")
    assert extension_names(replace(function, layer_dirs=())) == ()


def test_variables_name_the_wrappers_file_only_where_opt_is_not_mounted(function, runtime, tmp_path):
    sandbox = Sandbox("/code", "/layers", "/t", "/runtime", "127.1.2.3", None)
    settings = {"region": "us-east-1", "runtime_api": "h:1", "environment_id": "e", "overrides": {}}
    variables = runtime_variables(function, runtime, sandbox, **settings)
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == str(tmp_path / "second" / "wrapper")
    assert variables["OTEL_LAMBDA_COLLECTOR_HOST"] == "127.1.2.3"
    mounted = runtime_variables(function, runtime, replace(sandbox, plan="{}"), **settings)
    assert mounted["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/wrapper"
    alone = runtime_variables(replace(function, layer_dirs=(), environment={}), runtime, sandbox, **settings)
    assert "OTEL_LAMBDA_COLLECTOR_HOST" not in alone


def test_extensions_do_not_see_what_is_the_runtimes(function):
    variables = {"_HANDLER": "a.b", "LAMBDA_TASK_ROOT": "/var/task", "PYTHONPATH": "/mine", "AWS_REGION": "r"}
    assert extension_variables(variables, function) == {"PYTHONPATH": "/mine", "AWS_REGION": "r"}
    assert "PYTHONPATH" not in extension_variables(variables, replace(function, environment={}))


@pytest.mark.parametrize("wrapper", ["/opt/nothing", "/opt/extensions/from-first", "/var/task/app.py"])
def test_wrapper_that_cannot_be_run_is_told(function, wrapper):
    with pytest.raises(TemplateError, match=f"`f` has `AWS_LAMBDA_EXEC_WRAPPER={wrapper}`"):
        check_wrapper(function, {"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    check_wrapper(function, {})
