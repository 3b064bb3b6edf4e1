"""The commands and the environment variables of an environment's processes: Lambda's."""

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from lambda_local._sandbox import RuntimeConfig, Sandbox
from lambda_local.errors import TemplateError
from lambda_local.resources import FunctionSpec

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
# What Lambda keeps from extensions.
_RUNTIME_ONLY = frozenset(
    {
        "_HANDLER",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "PYTHONPATH",
    }
)


def runtime_command(runtime: RuntimeConfig, sandbox: Sandbox, wrapper: str | None) -> list[str]:
    """The command that runs a function, through its wrapper script if it has one.

    Parameters
    ----------
    runtime : RuntimeConfig
    sandbox : Sandbox
    wrapper : str or None
        Value of `AWS_LAMBDA_EXEC_WRAPPER` among the variables.

    Raises
    ------
    FileNotFoundError
        The interpreter is gone.
    """
    if not runtime.python.is_file():  # told here, as it would be hard to tell from what a process says that ends
        raise FileNotFoundError(f"expected an interpreter, but `{runtime.python}` is no file")
    bootstrap = Path(__file__).with_name("_bootstrap.py")
    # -S keeps the host's packages out, -P this package's own modules; -B writes nothing into what is read-only on AWS.
    command = [str(runtime.python), "-S", "-P", "-B", str(bootstrap), sandbox.opt_dir]
    return sandbox.command(command if not wrapper else [wrapper, *command])


def check_wrapper(function: FunctionSpec, overrides: Mapping[str, str]) -> None:
    """Find out before the first invocation that a wrapper script cannot be run.

    Raises
    ------
    TemplateError
        It is not an executable file of a layer or of the code.
    """
    wrapper = {**function.environment, **overrides}.get(_WRAPPER)
    if not wrapper:
        return
    found = find_file(function, wrapper)
    if found is None or not os.access(found, os.X_OK):
        raise TemplateError(f"function `{function.name}` has `{_WRAPPER}={wrapper}`; expected an executable in a layer")


def find_file(function: FunctionSpec, path: str) -> Path | None:
    """Where this process finds the file that a function calls `/opt/...` or `/var/task/...`."""
    inner = path.removeprefix("/opt/")
    # Layers lie over each other in /opt, so of two with the same file the later one's is seen.
    folders = function.layer_dirs[::-1] if inner != path else (function.code_dir,)
    candidates = (folder / inner.removeprefix("/var/task/") for folder in folders)
    return next((file for file in candidates if file.is_file()), None)


def extension_names(function: FunctionSpec) -> tuple[str, ...]:
    """The files in `/opt/extensions`."""
    folders = [folder / "extensions" for folder in function.layer_dirs]
    found = {entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir() if entry.is_file()}
    return tuple(sorted(found))


def runtime_variables(
    function: FunctionSpec,
    runtime: RuntimeConfig,
    sandbox: Sandbox,
    *,
    region: str,
    runtime_api: str,
    environment_id: str,
    overrides: Mapping[str, str],
) -> dict[str, str]:
    """All environment variables of a function's process; nothing of this process's own is among them.

    Parameters
    ----------
    function, runtime, sandbox
    region : str
    runtime_api : str
        `host:port`.
    environment_id : str
        Ends the name of the log stream.
    overrides : mapping
        Variables of the service (its endpoints), which win over the template's.
    """
    replaceable = {
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PATH": f"{runtime.python.parent}:{_SYSTEM_PATH}:{sandbox.opt_dir}/bin",
        "LD_LIBRARY_PATH": f"{sandbox.task_dir}/lib:{sandbox.opt_dir}/lib",
        "PYTHONPATH": sandbox.runtime_dir,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
    if extension_names(function):
        replaceable["OTEL_LAMBDA_COLLECTOR_HOST"] = sandbox.address
    reserved = {
        "_HANDLER": function.handler,
        # Tells requests of one function from those of another: in S3 records, and where a test injects faults.
        "AWS_ACCESS_KEY_ID": function.name,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{runtime.version}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{environment_id}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": sandbox.task_dir,
        "LAMBDA_RUNTIME_DIR": sandbox.runtime_dir,
        # Not Lambda's, but without them boto3 would look for the host's own settings and for a metadata service.
        "HOME": sandbox.tmp_dir,
        "TMPDIR": sandbox.tmp_dir,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    variables = replaceable | dict(function.environment) | reserved | dict(overrides)
    if sandbox.plan is None and (wrapper := variables.get(_WRAPPER)):
        variables[_WRAPPER] = str(find_file(function, wrapper))
    return variables


def extension_variables(variables: Mapping[str, str], function: FunctionSpec) -> dict[str, str]:
    """What an extension's process gets of the variables of the runtime's."""
    return {
        name: value for name, value in variables.items() if name not in _RUNTIME_ONLY or name in function.environment
    }


def new_environment_id() -> str:
    """An identifier of the form that ends Lambda's log stream names."""
    return secrets.token_hex(16)
