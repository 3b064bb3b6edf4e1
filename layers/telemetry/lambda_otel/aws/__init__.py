"""AWS requests of the function: a span for each, the trace's context in what they send, and boto3's transfer threads.

Nothing here imports an AWS library. The function's own botocore and s3transfer are hooked once the function has
imported them, whichever version it brings; a function that never does pays for two lookups of a name an import.

| module | what it does |
| --- | --- |
| `post_import` | calls a function when a module has been imported |
| `client` | botocore: the span of a request |
| `s3`, `sqs`, `sns`, `lambda_invoke`, `eventbridge`, `others` | what a service's requests say, and where context goes |
| `carrier` | context that has to fit into what a service allows |
| `transfer` | s3transfer: tasks in other threads keep their parent |
| `object_keys` | how keys of S3 objects are shown in telemetry |
"""

from opentelemetry import trace

from lambda_otel.aws.post_import import Hook, after_import
from lambda_otel.export.drops import Drops
from lambda_otel.settings import Settings
from lambda_otel.version import __version__

# What `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` calls it; the official instrumentation has the same name.
_NAME = "botocore"


def install(settings: Settings, drops: Drops, hook_instead: Hook | None = None) -> None:
    """Hook botocore and s3transfer, now or when the function imports them.

    Parameters
    ----------
    settings : Settings
    drops : Drops
    hook_instead : callable, optional
        Called with the module `botocore.client`, in place of our own hook.
    """
    if _NAME in settings["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"]:
        return

    def hook_client(module: object) -> None:
        from lambda_otel.aws.client import hook

        hook(module, trace.get_tracer("lambda_otel.aws", __version__), drops, settings["OTEL_LAMBDA_AWS_INJECT"])

    def hook_transfer(module: object) -> None:
        from lambda_otel.aws.transfer import hook

        hook(module)

    after_import("botocore.client", hook_instead or hook_client)
    after_import("s3transfer.futures", hook_transfer)
