"""`neuro-preprocess demo`: the whole pipeline on this machine, watched."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neuro_cli.options import project_option

if TYPE_CHECKING:
    from lambda_local import LambdaService
    from neuro_cli.local.board import Board
    from neuro_cli.local.demo_run import DemoResult
    from neuro_cli.telemetry.cost import Cost
    from neuro_cli.telemetry.session import Recorded

_TIMEOUT_S = 900.0
# Retries wait minutes on AWS; who watches a demonstration does not.
_TIME_SCALE = 0.02


@click.command(
    "demo",
    epilog="""\b
Examples:
  neuro-preprocess demo
  neuro-preprocess demo my-scan.nii.gz broken.nii.gz
  make demo SCAN=my-scan.nii.gz                        the same, and it sets up what it needs""",
)
@click.argument("scans", metavar="[SCAN]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--output",
    metavar="DIR",
    default="out/demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the derivatives.",
)
@click.option("--no-open", is_flag=True, help="Do not open the report in a browser.")
@project_option
@click.pass_context
def command(ctx: click.Context, scans: Sequence[Path], output: Path, no_open: bool, project: Path | None) -> None:
    """Send scans through the whole pipeline, functions and all, on this machine.

    Starts an S3 endpoint and the local Lambda service from template.yaml and the built layers, uploads a synthetic
    head and Colin27 (a real one, from the Debian package `mricron-data`) or the SCANs of your own, and then the
    synthetic head twice more, for functions that are warm. It shows each stage as it happens, and ends with the
    derivatives on disk, a quality report, and beside it a page of the scan's trace, log and metrics. A SCAN that
    cannot be processed shows what becomes of such a one: an error file, and the others go on.

    The exit code is 1 when something went wrong that should have gone well.
    """
    from functools import partial

    from lambda_local import ServiceOptions
    from neuro_cli.deployed.target import target_of
    from neuro_cli.local.board import Board
    from neuro_cli.local.demo_run import fetch_derivatives, gather_demo_scans, send_and_wait, synthetic_scans_again
    from neuro_cli.local.service import local_pipeline
    from neuro_cli.project import find_project
    from neuro_cli.telemetry.otlp_files import Signal
    from neuro_cli.telemetry.own_spans import own_spans
    from neuro_cli.telemetry.session import read_session, recording_session, sessions_folder
    from neuro_cli.terminal.console import stderr

    console = stderr()
    found = find_project(project)
    found.require_built()
    sent = gather_demo_scans(scans, found.build / "data", lambda text: console.print(text, style="dim"))
    again = synthetic_scans_again(found.build / "data")
    with recording_session(sessions_folder(found)) as session:
        options = ServiceOptions(
            concurrency=2,
            time_scale=_TIME_SCALE,
            environment=session.environment,
            log_dir=found.build / "local" / "logs",
        )
        with local_pipeline(found, options=options) as pipeline, own_spans(partial(session.sink.take, Signal.TRACES)):
            state = pipeline.state
            where = f"S3 at {state.s3_url}, Lambda at {state.lambda_url}, telemetry to {session.sink.url}"
            console.print(where, style="dim")
            pipeline.service.subscribe(session.meter)
            board = Board(state.raw_bucket, state.derivatives_bucket)
            with _watched(board, pipeline.service):
                results = send_and_wait(pipeline, board, sent, _TIMEOUT_S)
                cold = session.cost()
                # beside its first run, and before the user's own scans, the last of which is shown
                results[1:1] = [
                    result for scan in again for result in send_and_wait(pipeline, board, [scan], _TIMEOUT_S)
                ]
                warm = session.cost().since(cold)
            fetch_derivatives(target_of(state), output)
        # only now: an extension delivers its last when it is shut down
        recorded = read_session(session.folder)
    _print(results, output, recorded, warm, is_opened=not no_open)
    ctx.exit(0 if all(result.is_as_it_should_be for result in results) else 1)


def _watched(board: "Board", service: "LambdaService") -> AbstractContextManager[object]:
    """Show what happens: as a table where there is a terminal, else a line at a time."""
    from neuro_cli.local.reporter import LineReporter
    from neuro_cli.terminal.console import stderr

    console = stderr()
    if not console.is_terminal:
        service.subscribe(LineReporter(board, console))
        return nullcontext()
    from rich.live import Live

    from neuro_cli.terminal.live_table import LiveTable

    service.subscribe(board.take)
    return Live(LiveTable(board), console=console, refresh_per_second=10, transient=True)


def _print(
    results: Sequence["DemoResult"], output: Path, recorded: "Recorded", warm: "Cost", *, is_opened: bool
) -> None:
    from neuro_cli.local.demo_pages import write_pages
    from neuro_cli.terminal.browser import open_page
    from neuro_cli.terminal.console import print_error, stderr, stdout
    from neuro_cli.terminal.tables import status_table
    from neuro_cli.terminal.telemetry_words import telemetry_lines

    console = stdout()
    console.print(status_table([result.status for result in results]))
    for result in results:
        error = result.status.error
        if error is not None:
            file = output / error["file"].split("/", 3)[3]
            print_error(f"`{result.sent.scan.path.name}`: {error['message']} ({error['code']}, {file})", error["hint"])
    console.print(f"\nderivatives  {output}", soft_wrap=True)
    pages = write_pages(results, output, recorded)
    for page in pages:
        if page.quality_report is not None:
            console.print(f"report       {page.quality_report}", soft_wrap=True)
        if page.trace is not None:
            console.print(f"trace        {page.trace}", soft_wrap=True)
    console.print()
    for line in telemetry_lines(recorded, warm):
        console.print(line, soft_wrap=True)
    stderr().print("\nTo keep such a service up and upload scans to it: neuro-preprocess local up", style="dim")
    reports = [page.quality_report for page in pages if page.quality_report is not None]
    if reports and is_opened:
        open_page(reports[-1])
