"""What a template deploys, as plain values: all names, ARNs and paths are resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_EVENT_AGE_S = 6 * 3600.0


@dataclass(frozen=True)
class AsyncConfig:
    """How asynchronous invocations of a function are retried and where they end.

    Attributes
    ----------
    max_retries : int
        Attempts after the first, 0 to 2.
    max_age_s : float
        An event that has waited longer is given up.
    on_failure, on_success : str or None
        ARN of the queue or the function that gets the record of the invocation.
    """

    max_retries: int = DEFAULT_MAX_RETRIES
    max_age_s: float = DEFAULT_MAX_EVENT_AGE_S
    on_failure: str | None = None
    on_success: str | None = None


@dataclass(frozen=True)
class FunctionSpec:
    """One function.

    Attributes
    ----------
    logical_id, name, arn : str
        `name` is what it is invoked by.
    handler : str
        `module.function`.
    runtime : str
        As the template says; the process runs the interpreter of `RuntimeConfig` whatever it is.
    code_dir : Path
        Stands for `/var/task`.
    layer_dirs : tuple of Path
        Stand for `/opt`, each one layer, in template order.
    environment : mapping
        The template's variables.
    timeout_s, memory_mb, ephemeral_storage_mb : int
    reserved_concurrency : int or None
        At most so many invocations at once; 0 throttles all.
    async_config : AsyncConfig
    """

    logical_id: str
    name: str
    arn: str
    handler: str
    runtime: str
    code_dir: Path
    layer_dirs: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: int = 3
    memory_mb: int = 128
    ephemeral_storage_mb: int = 512
    reserved_concurrency: int | None = None
    async_config: AsyncConfig = AsyncConfig()


@dataclass(frozen=True)
class NotificationSpec:
    """One notification of a bucket.

    Attributes
    ----------
    configuration_id : str
    events : tuple of str
        `s3:ObjectCreated:*` and the like.
    prefix, suffix : str
        Empty: any.
    target_arn : str
        A function or a queue.
    """

    configuration_id: str
    events: tuple[str, ...]
    prefix: str
    suffix: str
    target_arn: str


@dataclass(frozen=True)
class BucketSpec:
    """One bucket."""

    name: str
    is_versioned: bool = False
    notifications: tuple[NotificationSpec, ...] = ()
    has_eventbridge: bool = False


@dataclass(frozen=True)
class RedriveSpec:
    """Where a queue's message goes once it has been received `max_receive_count` times in vain."""

    dead_letter_arn: str
    max_receive_count: int


@dataclass(frozen=True)
class QueueSpec:
    """One SQS queue.

    Attributes
    ----------
    visibility_timeout_s : float
        How long a message that was not processed stays away.
    """

    name: str
    arn: str
    url: str
    visibility_timeout_s: float = 30.0
    redrive: RedriveSpec | None = None


@dataclass(frozen=True)
class MappingSpec:
    """An event source mapping: a queue whose messages invoke a function.

    Attributes
    ----------
    batch_size : int
        At most so many messages in one invocation.
    batch_window_s : float
        How long to gather a batch.
    reports_item_failures : bool
        The function's answer names the messages that failed.
    """

    queue_arn: str
    function_name: str
    batch_size: int = 10
    batch_window_s: float = 0.0
    reports_item_failures: bool = False


@dataclass(frozen=True)
class TargetSpec:
    """Who gets the events of a rule: a function or a queue; `constant_input` replaces the event."""

    arn: str
    constant_input: Any = None


@dataclass(frozen=True)
class RuleSpec:
    """An EventBridge rule or schedule.

    Attributes
    ----------
    pattern : mapping or None
        Events that match go to the targets.
    schedule : str or None
        `rate(...)` or `cron(...)`.
    is_scheduler : bool
        A schedule of EventBridge Scheduler, whose event differs a little from a rule's.
    """

    name: str
    arn: str
    targets: tuple[TargetSpec, ...]
    pattern: Mapping[str, Any] | None = None
    schedule: str | None = None
    is_enabled: bool = True
    is_scheduler: bool = False


@dataclass(frozen=True)
class Deployment:
    """Everything of one template that the service runs.

    Attributes
    ----------
    functions : mapping of str to FunctionSpec
        By function name.
    notices : tuple of str
        What the template asks for and the service does not do, one sentence each.
    """

    stack_name: str
    region: str
    account_id: str
    functions: Mapping[str, FunctionSpec]
    buckets: tuple[BucketSpec, ...] = ()
    queues: tuple[QueueSpec, ...] = ()
    mappings: tuple[MappingSpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    notices: tuple[str, ...] = ()
