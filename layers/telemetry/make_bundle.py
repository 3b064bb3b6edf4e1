"""Write the bundle of a built layer: see `lambda_otel/_bundle.py`. Runs in the Python the layer is for.

    python3.13 make_bundle.py <layer>/python [/opt/python]

The second argument is where the folder will be, for stack traces.
"""

import marshal
import os
import subprocess
import sys
from pathlib import Path

# Starts all of it once, as a function would, and names what that loaded.
_START = """
import sys
from lambda_otel import bootstrap
telemetry = bootstrap._start()
telemetry._exporter.flush()
from lambda_otel import plugins
from lambda_otel.aws import client, s3, transfer
for name, module in list(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec and spec.origin and spec.has_location:
        print(name, spec.submodule_search_locations is not None, spec.origin)
"""
_ENV = {"AWS_LAMBDA_FUNCTION_NAME": "bundle", "OTEL_LAMBDA_PRELOAD": "metrics,logs"}
# Loaded before the bundle can be.
_NEVER = ("lambda_otel", "lambda_otel.bootstrap", "lambda_otel._bundle", "lambda_otel._deferred")


def main() -> None:  # noqa: D103  the module says it
    folder = Path(sys.argv[1]).resolve()
    shown = sys.argv[2] if len(sys.argv) > 2 else str(folder)
    env = {**os.environ, **_ENV, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    started = subprocess.run([sys.executable, "-c", _START], env=env, check=True, stdout=subprocess.PIPE, text=True)
    modules = [line.split(" ", 2) for line in started.stdout.splitlines()]
    entries = {
        name: (str(Path(origin).relative_to(folder)), is_package == "True", _byte_code(Path(origin), folder, shown))
        for name, is_package, origin in modules
        if Path(origin).is_relative_to(folder) and name not in _NEVER
    }
    path = folder / "lambda_otel" / f"{sys.implementation.cache_tag}.bundle"
    path.write_bytes(marshal.dumps(entries))
    sys.stdout.write(f"{len(entries)} modules, {path.stat().st_size / 1e6:.1f} MB: {path.name}\n")


def _byte_code(source: Path, folder: Path, shown: str) -> bytes:
    path = f"{shown}/{source.relative_to(folder)}"
    return marshal.dumps(compile(source.read_bytes(), path, "exec", dont_inherit=True))


if __name__ == "__main__":
    main()
