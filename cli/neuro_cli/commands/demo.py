"""`neuro-preprocess demo`: the whole pipeline on this machine, watched."""

import os
import sys
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
    head and Colin27 (a real one, from the Debian package `mricron-data`) or the SCANs of your own, shows each stage
    as it happens, and ends with the derivatives on disk and a quality report. A SCAN that cannot be processed shows
    what becomes of such a one: an error file, and the others go on.

    The exit code is 1 when something went wrong that should have gone well.
    """
    from lambda_local import ServiceOptions
    from neuro_cli.deployed.target import target_of
    from neuro_cli.local.board import Board
    from neuro_cli.local.demo_run import fetch_derivatives, gather_demo_scans, send_and_wait
    from neuro_cli.local.service import local_pipeline
    from neuro_cli.project import find_project
    from neuro_cli.terminal.console import stderr

    console = stderr()
    found = find_project(project)
    found.require_built()
    sent = gather_demo_scans(scans, found.build / "data", lambda text: console.print(text, style="dim"))
    options = ServiceOptions(concurrency=2, time_scale=_TIME_SCALE, log_dir=found.build / "local" / "logs")
    with local_pipeline(found, options=options) as pipeline:
        state = pipeline.state
        console.print(f"S3 at {state.s3_url}, Lambda at {state.lambda_url}", style="dim")
        board = Board(state.raw_bucket, state.derivatives_bucket)
        with _watched(board, pipeline.service):
            results = send_and_wait(pipeline, board, sent, _TIMEOUT_S)
        fetch_derivatives(target_of(state), output)
    _print(results, output, is_opened=not no_open)
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


def _print(results: Sequence["DemoResult"], output: Path, *, is_opened: bool) -> None:
    from neuro_cli.terminal.console import print_error, stderr, stdout
    from neuro_cli.terminal.tables import status_table
    from neuro_preprocess.bids import BidsName, figure_path

    console = stdout()
    console.print(status_table([result.status for result in results]))
    for result in results:
        error = result.status.error
        if error is not None:
            file = output / error["file"].split("/", 3)[3]
            print_error(f"`{result.sent.scan.path.name}`: {error['message']} ({error['code']}, {file})", error["hint"])
    console.print(f"\nderivatives  {output}", soft_wrap=True)
    reports = [
        output / figure_path(BidsName.parse(result.status.key), ".html")
        for result in results
        if result.status.outcome == "done"
    ]
    for report in reports:
        console.print(f"report       {report}", soft_wrap=True)
    stderr().print("\nTo keep such a service up and upload scans to it: neuro-preprocess local up", style="dim")
    if reports and is_opened and _has_display():
        import webbrowser

        webbrowser.open(reports[-1].resolve().as_uri())


def _has_display() -> bool:
    """Whether a person with a screen is there to see a browser."""
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
