"""How a service runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lambda_local._sandbox import Isolation


@dataclass(frozen=True)
class ServiceOptions:
    """How a service runs.

    Attributes
    ----------
    concurrency : int
        Invocations at once, of all functions together; the account's limit on AWS.
    time_scale : float
        Factor on the waits before retries and on visibility timeouts, which on AWS are minutes.
    idle_s : float
        An environment is ended when it was not needed for so long.
    init_limit_s : float
        A cold start may take so long. One that takes longer is begun again, on the function's own time.
    freezes_idle : bool
        The processes of an environment that has nothing to do are stopped (`SIGSTOP`) until it has.
    has_telemetry_api : bool
        False: subscriptions are answered 202 and nothing is ever sent, as AWS's own emulator does.
    isolation : Isolation
        How functions see `/var/task`, `/opt` and `/tmp`.
    deliveries : int
        How often each S3 event is delivered. Lambda promises at least once: 2 shows whether the functions bear it.
    missing_key_is_403 : bool
        S3's answer to who may not list the bucket; else 404.
    environment : mapping of str to str
        Variables for all functions; they win over the template's and over the service's own endpoints.
    log_dir : Path or None
        Where each function's log is kept in a file.
    host : str
    s3_port, lambda_port : int
        0: any free one.
    """

    concurrency: int = 10
    time_scale: float = 1.0
    idle_s: float = 300.0
    init_limit_s: float = 10.0
    freezes_idle: bool = True
    has_telemetry_api: bool = True
    isolation: Isolation = Isolation.AUTO
    deliveries: int = 1
    missing_key_is_403: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    log_dir: Path | None = None
    host: str = "127.0.0.1"
    s3_port: int = 0
    lambda_port: int = 0
