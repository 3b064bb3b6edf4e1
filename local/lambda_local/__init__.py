"""A Lambda service for one machine, driven by a SAM template.

    deployment = load_deployment(Path("template.yaml"), parameters={"Prefix": "demo"})
    runtime = RuntimeConfig(python=Path(sys.executable), runtime_dir=Path(".build/lambda-runtime"))
    with LambdaService(deployment, runtime) as service:
        service.subscribe(print)
        service.s3.client().upload_file("scan.nii.gz", "demo-raw", "scan.nii.gz")
        service.drain(timeout_s=120)

What is emulated
- Functions are real processes that run AWS's own runtime client against a Runtime API of ours: one invocation at a time
  in each, warm ones reused (the most recently used first), more of them for concurrency, ended after idle time.
  Timeouts and memory beyond the limit kill the whole process group.
- Asynchronous invocations: two retries under the same request id after 60 s and 120 s (or as `EventInvokeConfig` says),
  the age limit, `OnFailure` and `OnSuccess` to queues and functions. Synchronous ones, over HTTP as well, with
  throttling.
- S3 by moto, corrected (see `lambda_local.s3`), with the template's notifications; faults on purpose
  (`S3Endpoint.faults`).
- SQS queues as event sources and destinations: batches, partial failures, redrive. They are reached through
  `LambdaService.queues`, not over HTTP.
- EventBridge rules for S3's events and for what `put_event` is given; `rate(...)` schedules.

What is not
- IAM: every request is allowed. `missing_key_is_403` gives the one refusal that programs most often meet.
- The file system: `/var/task`, `/opt` and `/tmp` are paths in the environment variables, writable where the user may
  write; a single file is held to the size of the ephemeral storage (`EFBIG`, not `ENOSPC`), their sum is not.
  Layers are searched one after the other, not laid over each other: a package with files in two of them is found in
  the later one only.
- Memory is sampled ten times a second as resident memory, libraries that processes share included: a peak shorter than
  that passes, and `MemoryError` never comes first. CPU is not rationed by memory.
- The ten seconds for a cold start are not enforced: a longer one runs on, on the function's own time. After a failed
  one Lambda tries again within the invocation; here that is left to the retry. A crashed environment is replaced, not
  reset.
- No freezing between invocations, no extensions, no Telemetry API, no response streaming, no container images, no
  versions and aliases.
- `cron(...)` schedules fire only by `fire_schedule`; notifications to SNS, input transformers, event filters and other
  services' resources are refused or listed in `Deployment.notices`.
- Delivery is orderly and at once; `ServiceOptions.deliveries` makes S3's duplicates. Objects live as long as the
  service.

However the service ends, by `kill -9` as well, its processes and temporary files go with it. Linux only: it needs
pidfds and /proc.
"""

from lambda_local._launch import RuntimeConfig
from lambda_local.errors import (
    FunctionNotFoundError,
    LambdaLocalError,
    PayloadError,
    ServiceStoppedError,
    TemplateError,
    ThrottledError,
)
from lambda_local.events import (
    EnvironmentStarted,
    EnvironmentStopped,
    InvocationEnded,
    InvocationGivenUp,
    InvocationStarted,
    LogLine,
    MessageQueued,
    ObjectCreated,
    Outcome,
    RetryScheduled,
    ServiceEvent,
)
from lambda_local.invoke_api import InvokeResult
from lambda_local.options import ServiceOptions
from lambda_local.resources import BucketSpec, Deployment, FunctionSpec
from lambda_local.service import LambdaService
from lambda_local.template import load_deployment

__all__ = [
    "BucketSpec",
    "Deployment",
    "EnvironmentStarted",
    "EnvironmentStopped",
    "FunctionNotFoundError",
    "FunctionSpec",
    "InvocationEnded",
    "InvocationGivenUp",
    "InvocationStarted",
    "InvokeResult",
    "LambdaLocalError",
    "LambdaService",
    "LogLine",
    "MessageQueued",
    "ObjectCreated",
    "Outcome",
    "PayloadError",
    "RetryScheduled",
    "RuntimeConfig",
    "ServiceEvent",
    "ServiceOptions",
    "ServiceStoppedError",
    "TemplateError",
    "ThrottledError",
    "load_deployment",
]
