"""`neuro-preprocess report`: how a scan was processed, as its telemetry tells it."""

from pathlib import Path

import click

from neuro_cli.options import project_option


@click.command(
    "report",
    epilog="""\b
Examples:
  neuro-preprocess report sub-01_T1w.nii.gz
  neuro-preprocess report 74c3cbc1baa133bdf383687e -o trace.html    by run id""",
)
@click.argument("scan")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page's file [default: out/traces/<scan>.html].",
)
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@project_option
def command(scan: str, output: Path | None, no_open: bool, project: Path | None) -> None:
    """Show a scan's trace, its log and the metrics, as one page.

    SCAN is its key, its file name, a file on this machine, a run id or a trace id; of several runs the newest counts.
    What is known is what `demo` and `local up` recorded on this machine, also while `local up` goes on.
    """
    from neuro_cli.project import find_project
    from neuro_cli.telemetry.scan_page import find_scan, write_page
    from neuro_cli.telemetry.scan_trace import read_trace
    from neuro_cli.telemetry.session import sessions_folder
    from neuro_cli.terminal.browser import open_page
    from neuro_cli.terminal.words import scan_name

    recorded, trace_id = find_scan(sessions_folder(find_project(project)), scan)
    path = output or Path("out/traces") / f"{scan_name(read_trace(recorded.recording, trace_id).name)}.html"
    write_page(recorded, trace_id, path)
    click.echo(str(path))
    if not no_open:
        open_page(path)
