"""Where the running local service can be found: one small file a user, written by `local up`."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServiceState:
    """A local service that is, or was, running.

    Attributes
    ----------
    pid : int
    s3_url, lambda_url : str
        Endpoints, for `--endpoint-url`.
    region : str
    raw_bucket, work_bucket, derivatives_bucket : str
    functions : mapping of str to str
        Logical ids of the template to function names.
    otlp_url : str
        Where it takes telemetry; empty where it does not.
    """

    pid: int
    s3_url: str
    lambda_url: str
    region: str
    raw_bucket: str
    work_bucket: str
    derivatives_bucket: str
    functions: Mapping[str, str]
    otlp_url: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's process: the number was given again
            return False
        return True


def state_path(env: Mapping[str, str] = os.environ) -> Path:
    """The file; in the user's own state folder, so that no one else can put one there."""
    base = env.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "neuro-preprocess" / "local-service.json"


def running_service() -> ServiceState | None:
    """The local service that is up, if one is."""
    try:
        state = ServiceState(**json.loads(state_path().read_text()))
    except (OSError, ValueError, TypeError):  # none, or one of another version of this command
        return None
    return state if state.is_alive else None


@contextmanager
def announced(state: ServiceState) -> Iterator[None]:
    """Let the other commands find this service while the block lasts."""
    path = state_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, state)
    try:
        yield
    finally:
        if running_service() == state:  # a service that was started later has written its own
            path.unlink(missing_ok=True)


def _write(path: Path, state: ServiceState) -> None:
    """Replace the file as a whole: a reader never sees half of it."""
    partial = path.with_suffix(f".{state.pid}")
    partial.write_text(json.dumps(asdict(state), indent=1) + "\n")
    partial.replace(path)
