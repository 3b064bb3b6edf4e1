"""Sessions: what one run of the local service sent, each in a folder of its own, the newest few of them kept."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from neuro_cli.project import Project
from neuro_cli.telemetry.cost import Cost, CpuMeter, read_cost
from neuro_cli.telemetry.otlp_files import OtlpFiles
from neuro_cli.telemetry.recording import Recording, load_recording
from neuro_cli.telemetry.sink import OtlpSink

MOST_SESSIONS = 10
_NAME = re.compile(r"\d{8}T\d{6}Z-\d+")
# A backend of the user's own; where one is named, `local up` records nothing.
_BACKEND = ("OTEL_EXPORTER_OTLP_ENDPOINT", "GRAFANA_CLOUD_OTLP_ENDPOINT")
_PASSED_ON = re.compile(r"OTEL_EXPORTER_OTLP_(ENDPOINT|HEADERS|PROTOCOL)|GRAFANA_CLOUD_\w+")


@dataclass(frozen=True)
class Session:
    """A session that goes on.

    Attributes
    ----------
    folder : Path
    sink : OtlpSink
    meter : CpuMeter
        To be subscribed to the service.
    """

    folder: Path
    sink: OtlpSink
    meter: CpuMeter

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make functions and extensions send their telemetry here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url, "OTEL_LAMBDA_MEASURE_COST": "true"}

    def cost(self) -> Cost:
        """What telemetry has cost up to now."""
        processes = self.meter.look()
        return Cost.of(processes, load_recording(self.folder).totals)


@dataclass(frozen=True)
class Recorded:
    """A session as it was, or is so far, recorded."""

    folder: Path
    recording: Recording
    cost: Cost | None


@contextmanager
def recording_session(root: Path) -> Iterator[Session]:
    """Receive telemetry while the block lasts.

    Parameters
    ----------
    root : Path
        Folder of all sessions.
    """
    now = datetime.now(UTC)
    folder = root / f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}"
    _forget_old(root)
    files = OtlpFiles(folder)
    with OtlpSink(files) as sink:
        yield Session(folder, sink, CpuMeter(folder))


def sessions_folder(project: Project) -> Path:
    """Folder of all sessions of a project."""
    return project.build / "local" / "telemetry"


def read_session(folder: Path) -> Recorded:
    """What a session has recorded so far."""
    recording = load_recording(folder)
    return Recorded(folder, recording, read_cost(folder, recording.totals))


def read_sessions(root: Path) -> Iterator[Recorded]:
    """Every session that is kept, the newest first."""
    return map(read_session, _folders(root))


def backend_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that send telemetry to a backend of the user's own; none where no backend is named."""
    if not any(env.get(name) for name in _BACKEND):
        return {}
    return {name: value for name, value in env.items() if _PASSED_ON.fullmatch(name)}


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def _forget_old(root: Path) -> None:
    for folder in _folders(root)[MOST_SESSIONS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
