"""Builds what is measured, from published packages, under `.build/benchmarks/`: once a Python version, then kept."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TELEMETRY = ROOT / "layers" / "telemetry"
CONTRIB = ROOT / "layers" / "telemetry-contrib"
BUILD = ROOT / ".build" / "benchmarks"

RUNTIME = ("awslambdaric==4.2.2", "boto3==1.44.8")
OFFICIAL = (
    "opentelemetry-api==1.45.1",
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-instrumentation-logging==0.66b1",
)
# The reference: open-telemetry/opentelemetry-lambda's Python layer 0.21.0, by its requirements.
_INSTRUMENTED = (
    "aiohttp-client", "asgi", "asyncpg", "boto3sqs", "celery", "dbapi", "django", "falcon", "fastapi", "flask", "grpc",
    "jinja2", "mysql", "psycopg2", "pymemcache", "pymongo", "pymysql", "pyramid", "redis", "requests", "sqlalchemy",
    "sqlite3", "starlette", "tornado", "wsgi",
)  # fmt: skip
REFERENCE = (
    "opentelemetry-sdk==1.44.0",
    "opentelemetry-exporter-otlp-proto-http==1.44.0",
    "opentelemetry-distro==0.65b0",
    "opentelemetry-propagator-aws-xray==1.0.2",
    *(f"opentelemetry-instrumentation-{name}==0.65b0" for name in _INSTRUMENTED),
)
REFERENCE_WITHOUT_DEPENDENCIES = (
    "opentelemetry-instrumentation-aws-lambda==0.65b0",
    "opentelemetry-instrumentation-botocore==0.65b0",
)
# It takes the runtime's boto3 and urllib3.
_REFERENCE_REMOVES = ("boto*", "urllib3*")

# What its wrapper script does, by what it sets and starts.
REFERENCE_WRAPPER = """#!/bin/bash
export PYTHONPATH="$LAMBDA_RUNTIME_DIR:$LAMBDA_OPT/python:$PYTHONPATH"
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_SERVICE_NAME=$AWS_LAMBDA_FUNCTION_NAME
export OTEL_PROPAGATORS=tracecontext,baggage,xray
export OTEL_RESOURCE_ATTRIBUTES="cloud.region=$AWS_REGION,cloud.provider=aws,faas.name=$AWS_LAMBDA_FUNCTION_NAME,\
faas.version=$AWS_LAMBDA_FUNCTION_VERSION,faas.instance=$AWS_LAMBDA_LOG_STREAM_NAME"
export ORIG_HANDLER=$_HANDLER _HANDLER=otel_wrapper.lambda_handler
exec python3 "$LAMBDA_OPT/python/bin/opentelemetry-instrument" "$@"
"""
REFERENCE_HANDLER = """import os
from importlib import import_module

module, handler = os.environ["ORIG_HANDLER"].rsplit(".", 1)
lambda_handler = getattr(import_module(module.replace("/", ".")), handler)
"""


class Trees:
    """Everything for one Python version.

    Parameters
    ----------
    version : str
        `3.13`

    Attributes
    ----------
    python : Path
        Of a virtual environment, without packages.
    runtime, layer, contrib, reference, stale_reference, official, instrumentations : Path
        `awslambdaric` and boto3; our layer as `/opt`, and with the contrib layer; the reference as `/opt`, and without
        valid byte code; packages.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self._folder = BUILD / version
        self.python = self._folder / "venv" / "bin" / "python3"
        if not self.python.exists():
            subprocess.run([_interpreter(version), "-m", "venv", self._folder / "venv"], check=True)
        self.runtime = self._packages("runtime", RUNTIME)
        self.official = self._packages("official", OFFICIAL)
        self.instrumentations = self._packages("instrumentations", ("-r", str(CONTRIB / "requirements.in")))
        self.layer = self._layer()
        self.contrib = self._contrib()
        self.reference = self._reference()
        self.stale_reference = self._stale_reference()

    def _packages(self, name: str, requirements: tuple[str, ...]) -> Path:
        folder = self._folder / name
        if not folder.exists():
            self._install(requirements, folder)
            self._compile(folder)
        return folder

    def _layer(self) -> Path:
        packages, layer = self._folder / "layer-packages", self._folder / "layer"
        if not packages.exists():
            self._install(("-r", str(TELEMETRY / "requirements.in")), packages)
        shutil.rmtree(layer, ignore_errors=True)
        shutil.copytree(packages, layer / "python")
        ours = layer / "python" / "lambda_otel"
        shutil.copytree(TELEMETRY / "lambda_otel", ours, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(TELEMETRY / "otel-instrument", layer)
        self._compile(layer)
        subprocess.run([self.python, TELEMETRY / "make_bundle.py", layer / "python"], check=True, capture_output=True)
        return layer

    def _contrib(self) -> Path:
        """Both layers in one `/opt`: what both bring is the telemetry layer's."""
        folder = self._folder / "layer-contrib"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.instrumentations, folder / "python")
        shutil.copytree(self.layer, folder, dirs_exist_ok=True)
        return folder

    def _reference(self) -> Path:
        folder = self._folder / "reference"
        if folder.exists():
            return folder
        packages, more = folder / "python", self._folder / "more"
        self._install(REFERENCE, packages)
        self._install(("--no-deps", *REFERENCE_WITHOUT_DEPENDENCIES), more)
        shutil.copytree(more, packages, dirs_exist_ok=True)
        shutil.rmtree(more)
        for pattern in _REFERENCE_REMOVES:
            for path in packages.glob(pattern):
                shutil.rmtree(path)
        (packages / "otel_wrapper.py").write_text(REFERENCE_HANDLER)
        (folder / "otel-instrument").write_text(REFERENCE_WRAPPER)
        (folder / "otel-instrument").chmod(0o755)
        self._compile(folder)
        return folder

    def _stale_reference(self) -> Path:
        folder = self._folder / "reference-stale"
        if not folder.exists():
            shutil.copytree(self.reference, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    def _install(self, requirements: tuple[str, ...], folder: Path) -> None:
        print(f"installing {folder.relative_to(ROOT)}", flush=True)
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*command, "--target", folder, *requirements], check=True)

    def _compile(self, folder: Path) -> None:
        command = [self.python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", folder]
        subprocess.run(command, check=True)


def size_bytes(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _interpreter(version: str) -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python3"))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    raise SystemExit(f"Python {version} is not on PATH and not in pyenv")
