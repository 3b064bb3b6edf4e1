"""`neuro-preprocess local`: the functions and the buckets on this machine."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from neuro_cli.options import project_option

if TYPE_CHECKING:
    from neuro_cli.local.service import LocalPipeline
    from neuro_cli.telemetry.session import Session


@click.group("local")
def command() -> None:
    """Run the pipeline's functions and buckets on this machine.

    What runs is what AWS would run: template.yaml, the functions' code and the built layers, in processes of their own
    behind an S3 endpoint. Neither Docker nor an AWS account is needed.
    """


def _parameters(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = dict(value.partition("=")[::2] for value in values if "=" in value)
    if len(pairs) != len(values):
        raise click.BadParameter("expected `NAME=VALUE`, each name once")
    return pairs


@command.command(
    epilog="""\b
Examples:
  neuro-preprocess local up
  neuro-preprocess local up --port 9000 --keep derivatives
  neuro-preprocess local up --parameter VoxelSizeMm=0.8 --parameter WriteHead=true""",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port of S3.")
@click.option(
    "--lambda-port", type=click.IntRange(0, 65535), default=0, show_default="any free one", help="Port of Lambda."
)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy derivatives and error files to this folder as they come; else they end with the service.",
)
@click.option(
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_parameters,
    help="A parameter of template.yaml. May be given more than once.",
)
@click.option("--concurrency", type=click.IntRange(min=1), default=4, show_default=True, help="Invocations at once.")
@click.option(
    "--time-scale",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Factor on the waits before retries, which are one and two minutes.",
)
@project_option
def up(
    *,
    port: int,
    lambda_port: int,
    keep: Path | None,
    parameters: dict[str, str],
    concurrency: int,
    time_scale: float,
    project: Path | None,
) -> None:
    """Run the local service until Ctrl-C, and show each scan's way through it.

    While it runs, `upload`, `status` and `replay` find it by themselves. Buckets are empty at the start and gone at
    the end. The functions' logs are kept in `.build/local/logs`. Their telemetry is kept as well, for
    `neuro-preprocess report`, or goes where `OTEL_EXPORTER_OTLP_ENDPOINT` says if that is set.
    """
    from contextlib import ExitStack
    from dataclasses import replace

    from lambda_local import ServiceOptions
    from neuro_cli.deployed.service_state import announced
    from neuro_cli.local.service import local_pipeline
    from neuro_cli.project import find_project
    from neuro_cli.telemetry.session import backend_environment, recording_session, sessions_folder
    from neuro_cli.terminal.console import stderr

    found = find_project(project)
    backend = backend_environment()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        session = None if backend else stack.enter_context(recording_session(sessions_folder(found)))
        options = ServiceOptions(
            concurrency=concurrency,
            time_scale=time_scale,
            s3_port=port,
            lambda_port=lambda_port,
            environment=backend if session is None else session.environment,
            log_dir=found.build / "local" / "logs",
        )
        pipeline = stack.enter_context(local_pipeline(found, parameters=parameters, options=options))
        stack.enter_context(announced(replace(pipeline.state, otlp_url=session.sink.url if session else "")))
        _report(pipeline, session, keep)
        for line in _welcome(pipeline, session, backend):
            click.echo(line)
        stopped.wait()
        stderr().print("stopping", style="dim")


def _report(pipeline: "LocalPipeline", session: "Session | None", keep: Path | None) -> None:
    from neuro_cli.local.board import Board
    from neuro_cli.local.reporter import Keeper, LineReporter
    from neuro_cli.terminal.console import print_warning, stderr

    service, state = pipeline.service, pipeline.state
    for notice in service.deployment.notices:
        print_warning(notice)
    service.subscribe(LineReporter(Board(state.raw_bucket, state.derivatives_bucket), stderr()))
    if session is not None:
        service.subscribe(session.meter)
    if keep is not None:
        service.subscribe(Keeper(service.s3.client(), state.derivatives_bucket, keep))


def _welcome(pipeline: "LocalPipeline", session: "Session | None", backend: Mapping[str, str]) -> list[str]:
    state: Any = pipeline.state
    to_backend = backend.get("OTEL_EXPORTER_OTLP_ENDPOINT") or backend.get("GRAFANA_CLOUD_OTLP_ENDPOINT", "")
    endpoint = f"--endpoint-url {state.s3_url}"
    return [
        f"S3           {state.s3_url}",
        f"Lambda       {state.lambda_url}",
        f"raw          s3://{state.raw_bucket}",
        f"work         s3://{state.work_bucket}",
        f"derivatives  s3://{state.derivatives_bucket}",
        f"telemetry    {session.sink.url if session else to_backend}",
        "",
        "In another terminal:",
        "  neuro-preprocess upload sub-01_T1w.nii.gz --wait",
        "  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=" + state.region,
        f"  aws s3 cp {endpoint} sub-01_T1w.nii.gz s3://{state.raw_bucket}/sub-01/anat/",
        f"  aws s3 sync {endpoint} s3://{state.derivatives_bucket} derivatives",
        *(["  neuro-preprocess report sub-01_T1w.nii.gz"] if session else []),
        "",
        "Ctrl-C ends it.",
    ]
