"""Try every name that `OTEL_LAMBDA_INSTRUMENTORS` may have with its real package and the library that it is for.

    .venv/bin/python scripts/check_instrumentors.py [name ...]

Run it when the pins of layers/telemetry move: lambda_otel/instrumentors.py is a table of other people's names, and only
their packages can say whether it is right. Each is installed from the package index, wheels only, into an environment
that is removed afterwards, beside the very versions of OpenTelemetry that the layer brings; what it declares for
automatic instrumentation has to be what the table says, and the layer's own code then instruments with it. That takes
two minutes and the network, so it is no part of the tests. Ends with 1 if a name does not hold.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

TELEMETRY = Path(__file__).resolve().parent.parent / "layers" / "telemetry"
_PREFIX = "opentelemetry-instrumentation-"
# Where the distribution is not called after the module.
_DISTRIBUTIONS = {"kafka": f"{_PREFIX}kafka-python"}
# A package names its libraries in an extra. That of these asks for one that has no wheels: what has them, if anything.
_LIBRARIES: dict[str, tuple[str, ...]] = {"mysqlclient": (), "psycopg2": ("psycopg2-binary",)}
_TRIAL = """
import json, sys
from importlib.metadata import distribution
from lambda_otel.instrumentors import INSTRUMENTORS, instrument_libraries
from lambda_otel.plugins import load

name, package, is_tried = sys.argv[1], distribution(sys.argv[2]), sys.argv[3] == "True"
where = f"opentelemetry.instrumentation.{INSTRUMENTORS[name]}"
declared = [one.value for one in package.entry_points if one.group == "opentelemetry_instrumentor"]
is_done = is_tried and instrument_libraries((name,)) == [name] and load(where)().is_instrumented_by_opentelemetry
print(json.dumps({"version": package.version, "declared": declared, "where": where, "is_done": is_done}))
"""


def main() -> int:
    """Try the names of the command line, or all; the exit status."""
    sys.path.insert(0, str(TELEMETRY))
    from lambda_otel.instrumentors import INSTRUMENTORS

    names, wrong = sys.argv[1:] or list(INSTRUMENTORS), 0
    with tempfile.TemporaryDirectory(prefix="instrumentors-") as folder:
        venv.create(folder, with_pip=True)
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(layer_pins()))
        for name in names:
            package = distribution_of(name, INSTRUMENTORS[name])
            told, holds = attempt(Path(folder) / "bin" / "python", constraints, name, package)
            wrong += not holds
            print(f"{'ok' if holds else 'WRONG':5}  {name:16} {package} {told}", flush=True)
    print(f"{len(names) - wrong} of {len(names)} names hold")
    return int(wrong > 0)


def layer_pins() -> list[str]:
    """What the telemetry layer brings, `name==version`."""
    return re.findall(r"^([\w.-]+==[\w.]+)", (TELEMETRY / "requirements.txt").read_text(), re.M)


def distribution_of(name: str, where: str) -> str:
    """The distribution that brings an instrumentor."""
    return _DISTRIBUTIONS.get(name) or _PREFIX + re.sub(r"[_.]", "-", where.partition(":")[0])


def attempt(python: Path, constraints: Path, name: str, package: str) -> tuple[str, bool]:
    """What came of a name, in a few words, and whether it holds."""
    libraries = _LIBRARIES.get(name)
    extras = "[instruments,instruments-any]" if libraries is None else ""
    # a lower bound that is itself a pre-release admits pre-releases of this package, and of no other
    wanted = [*layer_pins(), f"{package}{extras}>=0b0", *(libraries or ())]
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-c", constraints]
    installed = _run(python, [*pip, *wanted])
    if installed.returncode != 0:
        return f"does not go with the layer, or its library has no wheels: {_last_line(installed.stderr)}", False
    is_tried = libraries != ()
    tried = _run(python, ["-c", _TRIAL, name, package, str(is_tried)], PYTHONPATH=str(TELEMETRY))
    if tried.returncode != 0:
        return f"is not instrumented: {_last_line(tried.stderr)}", False
    found = json.loads(tried.stdout.splitlines()[-1])
    if found["where"] not in found["declared"]:
        return f"{found['version']} declares {found['declared']}", False
    if is_tried and not found["is_done"]:
        return f"{found['version']} is not instrumented: {_last_line(tried.stderr)}", False
    return found["version"] + ("" if is_tried else ", by what it declares: its library has no wheels"), True


def _run(python: Path, arguments: Sequence[str | Path], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


if __name__ == "__main__":
    raise SystemExit(main())
