"""What all tests share: the sample events, and an environment that cannot reach a real cloud."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parent.parent

# numpy's threads gain nothing on volumes of this size, and spin on cores that others want
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
for name in [name for name in os.environ if name.startswith(("AWS_", "NEURO_", "OTEL_"))]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
)


def load_event(name: str) -> dict[str, Any]:
    """A sample event of events/."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


@pytest.fixture(scope="session")
def lack() -> Callable[[str], NoReturn]:
    """Called with what this machine lacks for a test: it is skipped, and fails in CI, which has to have everything."""

    def end(reason: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; in CI this may not be skipped")
        pytest.skip(reason)

    return end


@pytest.fixture
def sample_event():
    return load_event
