"""Functions with the official instrumentations: the contrib layer beside the telemetry layer."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
CONTRIB = ROOT / ".build" / "layers" / "TelemetryContribLayer" / "python"


@pytest.fixture
def run_contrib(run_function, tmp_path, lack):
    """`run_function`, with the contrib layer in `/opt` and chosen."""
    if not (CONTRIB / "wrapt").is_dir():
        lack("the contrib layer is not built: `make layers` does it")
    for package in CONTRIB.iterdir():
        (tmp_path / "opt" / "python" / package.name).symlink_to(package)

    def run(source, events, **more):
        return run_function(source, events, **{"OTEL_LAMBDA_INSTRUMENTATION": "contrib", **more})

    return run
