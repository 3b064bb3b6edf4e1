"""The pipeline on this machine: its template, its layers and the local Lambda service, put together."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lambda_local import (
    Deployment,
    LambdaLocalError,
    LambdaService,
    RuntimeConfig,
    ServiceOptions,
    load_deployment,
)
from neuro_cli.deployed.service_state import ServiceState
from neuro_cli.errors import CliError
from neuro_cli.project import Project

_FIRST_STAGE, _ANY_STAGE = "Conform", "Report"


@dataclass(frozen=True)
class LocalPipeline:
    """A running local service, and where others find it."""

    service: LambdaService
    state: ServiceState


@contextmanager
def local_pipeline(
    project: Project, *, parameters: Mapping[str, str] | None = None, options: ServiceOptions | None = None
) -> Iterator[LocalPipeline]:
    """Run the pipeline while the block lasts.

    Parameters
    ----------
    project : Project
        Its layers must have been built.
    parameters : mapping of str to str, optional
        The template's, as in `--parameter-overrides`.
    options : ServiceOptions, optional

    Raises
    ------
    CliError
        The layers are missing, the template or a parameter is wrong, or a port is taken.
    """
    project.require_built()
    runtime = RuntimeConfig(python=Path(sys.executable), runtime_dir=project.lambda_runtime)
    try:
        deployment = load_deployment(project.template, parameters=parameters, layer_dirs=project.layers)
        service = LambdaService(deployment, runtime, options)
        service.start()
    except LambdaLocalError as error:
        raise CliError(f"the local service cannot start: {error}") from error
    except OSError as error:
        raise CliError(f"the local service cannot listen: {(error.strerror or str(error)).lower()}") from error
    try:
        yield LocalPipeline(service, _state(service, deployment))
    finally:
        service.stop()


def _state(service: LambdaService, deployment: Deployment) -> ServiceState:
    functions = {function.logical_id: function for function in deployment.functions.values()}
    variables = functions[_ANY_STAGE].environment
    return ServiceState(
        pid=os.getpid(),
        s3_url=service.s3.url,
        lambda_url=service.lambda_url,
        region=deployment.region,
        raw_bucket=_bucket_before(deployment, functions[_FIRST_STAGE].arn),
        work_bucket=variables["NEURO_WORK_BUCKET"],
        derivatives_bucket=variables["NEURO_DERIVATIVES_BUCKET"],
        functions={logical_id: function.name for logical_id, function in functions.items()},
    )


def _bucket_before(deployment: Deployment, function_arn: str) -> str:
    """The bucket whose objects a function is told of."""
    for bucket in deployment.buckets:
        if any(notification.target_arn == function_arn for notification in bucket.notifications):
            return bucket.name
    raise CliError(
        "the template names no bucket of its own for scans",
        hint="the local service makes all buckets itself: leave `ExistingRawBucket` empty",
    )
