"""The command and the environment variables of a function's process: Lambda's, with paths in the place of mounts."""

import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lambda_local.errors import TemplateError
from lambda_local.resources import FunctionSpec

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_VERSION_SCRIPT = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True)
class RuntimeConfig:
    """What stands for AWS's Python runtime.

    Attributes
    ----------
    python : Path
        The interpreter, whose own site-packages the functions do not see.
    runtime_dir : Path
        Stands for `/var/runtime`: a folder with `awslambdaric` and boto3, as `pip install --target` makes it.
    """

    python: Path
    runtime_dir: Path

    @property
    def version(self) -> str:
        """Of the interpreter: `3.13`."""
        return _version(self.python)


def launch_command(function: FunctionSpec, runtime: RuntimeConfig, overrides: Mapping[str, str]) -> list[str]:
    """The command that runs a function, through the script of `AWS_LAMBDA_EXEC_WRAPPER` when it is set.

    Parameters
    ----------
    function, runtime, overrides
        As in `process_environment`.

    Raises
    ------
    TemplateError
        The wrapper is not an executable file of a layer or of the code.
    """
    bootstrap = Path(__file__).with_name("_bootstrap.py")
    layers = ":".join(str(folder) for folder in function.layer_dirs[::-1])
    # -S keeps the host's packages out, -P this package's own modules; -B writes nothing into what is read-only on AWS.
    command = [str(runtime.python), "-S", "-P", "-B", str(bootstrap), layers]
    wrapper = {**function.environment, **overrides}.get("AWS_LAMBDA_EXEC_WRAPPER")
    return command if not wrapper else [str(_wrapper_path(function, wrapper)), *command]


def process_environment(
    function: FunctionSpec,
    runtime: RuntimeConfig,
    *,
    region: str,
    runtime_api: str,
    temp_dir: Path,
    environment_id: str,
    overrides: Mapping[str, str],
) -> dict[str, str]:
    """All environment variables of a function's process; nothing of this process's own is among them.

    Parameters
    ----------
    function, runtime
    region : str
    runtime_api : str
        `host:port`.
    temp_dir : Path
        Stands for `/tmp`.
    environment_id : str
        Ends the name of the log stream.
    overrides : mapping
        Variables of the service (its endpoints), which win over the template's.
    """
    layers = function.layer_dirs[::-1]
    replaceable = {
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PATH": ":".join([*(f"{folder}/bin" for folder in layers), str(runtime.python.parent), _SYSTEM_PATH]),
        "LD_LIBRARY_PATH": ":".join([f"{function.code_dir}/lib", *(f"{folder}/lib" for folder in layers)]),
        "PYTHONPATH": str(runtime.runtime_dir),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
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
        "LAMBDA_TASK_ROOT": str(function.code_dir),
        "LAMBDA_RUNTIME_DIR": str(runtime.runtime_dir),
        # Not Lambda's, but without them boto3 would look for the host's own settings and for a metadata service.
        "HOME": str(temp_dir),
        "TMPDIR": str(temp_dir),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return replaceable | dict(function.environment) | reserved | dict(overrides)


def new_environment_id() -> str:
    """An identifier of the form that ends Lambda's log stream names."""
    return secrets.token_hex(16)


def _wrapper_path(function: FunctionSpec, wrapper: str) -> Path:
    if wrapper.startswith("/opt/"):
        # Layers lie over each other in /opt, so of two with the same file the later one's counts.
        candidates = [folder / wrapper.removeprefix("/opt/") for folder in function.layer_dirs[::-1]]
    else:
        candidates = [function.code_dir / wrapper.removeprefix("/var/task/")]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None or not found.stat().st_mode & 0o111:
        raise TemplateError(
            f"function `{function.name}` has `AWS_LAMBDA_EXEC_WRAPPER={wrapper}`; expected an executable in a layer"
        )
    return found


@cache
def _version(python: Path) -> str:
    shown = subprocess.run([python, "-I", "-S", "-c", _VERSION_SCRIPT], capture_output=True, text=True, check=True)
    return shown.stdout.strip()
