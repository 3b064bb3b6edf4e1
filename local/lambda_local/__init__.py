"""A Lambda service for one machine, driven by a SAM template.

    deployment = load_deployment(Path("template.yaml"), parameters={"Prefix": "demo"})
    runtime = RuntimeConfig(python=Path(sys.executable), runtime_dir=Path(".build/lambda-runtime"))
    with LambdaService(deployment, runtime) as service:
        service.subscribe(print)
        service.s3.client().upload_file("scan.nii.gz", "demo-raw", "scan.nii.gz")
        service.drain(timeout_s=120)

What is emulated
- Functions are real processes that run AWS's own runtime client against a Runtime API of ours, through their
  `AWS_LAMBDA_EXEC_WRAPPER` if they have one: one invocation at a time in each environment, warm ones reused (the most
  recently used first), more of them for concurrency, ended after idle time.
- Extensions: every file in `/opt/extensions` runs beside the function and speaks the Extensions API; threads of the
  runtime may as well. An init ends, and so does an invocation, when runtime and extensions have asked for the next
  event; the caller has the answer before that. At the end they get `SHUTDOWN` and two seconds.
- The Telemetry API over HTTP: the platform's events with their times, spans and metrics, log lines of functions and
  extensions, buffered as asked for; or its absence (`ServiceOptions.has_telemetry_api`), as in AWS's own emulator.
- Logs: lines of the output, and what the runtime hands over as records by Lambda's log descriptor, of however many
  lines. `LoggingConfig` decides whether those records are JSON and from which level on.
- Freezing: between invocations the processes are stopped, and nothing is delivered to them.
- Timeouts, crashes and memory beyond the limit end the processes of an environment, and the next invocation starts them
  again in it, on its own time: `/tmp` is kept. So does an init that fails or takes more than ten seconds.
- The file system, in mount namespaces where the machine gives them (`LambdaService.isolation`): `/var/task` and `/opt`
  read-only, the layers laid over each other, `/tmp` an environment's own. Each environment has a loopback address of
  its own, and extensions are told it in `OTEL_LAMBDA_COLLECTOR_HOST`.
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
- The file system without namespaces: the folders are paths in the environment variables, writable where the user may
  write, and of `/opt/...` in a variable only `AWS_LAMBDA_EXEC_WRAPPER` is understood. With them, what is not listed
  above is the host's. A single file is held to the size of the ephemeral storage (`EFBIG`, not `ENOSPC`), their sum is
  not.
- The network: all environments share the host's. An extension that insists on a port of `127.0.0.1` can run once. Where
  it cannot look up `sandbox.localdomain` (without namespaces), events are delivered to `127.0.0.1`.
- Memory is sampled ten times a second as resident memory of all processes, libraries that they share counted in each: a
  peak shorter than that passes, and `MemoryError` never comes first. CPU is not rationed by memory.
- What a function starts in a process group of its own is neither frozen nor killed with it.
- With JSON logs Lambda's own lines (START, REPORT) would be JSON in CloudWatch; here they are text. Lines that are
  printed are not held to `ApplicationLogLevel`.
- The Telemetry API over TCP, the Logs API, the differences between schema versions; how much Lambda holds for a
  subscriber that takes nothing, and how often it tries again, is not published: ours are guesses.
- No provisioned concurrency, SnapStart, managed instances, response streaming, container images, versions and aliases.
- `cron(...)` schedules fire only by `fire_schedule`; notifications to SNS, input transformers, event filters and other
  services' resources are refused or listed in `Deployment.notices`.
- Delivery is orderly and at once; `ServiceOptions.deliveries` makes S3's duplicates. Objects live as long as the
  service.

However the service ends, by `kill -9` as well, its processes and temporary files go with it. Linux only: it needs
pidfds and /proc.
"""

from lambda_local._sandbox import Isolation, RuntimeConfig
from lambda_local.errors import (
    FunctionNotFoundError,
    IsolationError,
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
    "Isolation",
    "IsolationError",
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
