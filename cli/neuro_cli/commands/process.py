"""`neuro-preprocess process`: one file through all stages, here and now."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuro_cli.commands._chain_flags import chain_options, file_task
from neuro_cli.options import json_option

if TYPE_CHECKING:
    from neuro_cli.inprocess.results import FileResult


@click.command(
    "process",
    epilog="""\b
Examples:
  neuro-preprocess process sub-01_T1w.nii.gz -o derivatives
      derivatives/sub-01/anat/sub-01_desc-brain_T1w.nii.gz, its mask, sidecars and quality report
  neuro-preprocess process scan.nii -o out -n brain.mgz
      out/brain.mgz for FreeSurfer, and out/brain.json
  neuro-preprocess process stripped.nii.gz -o out --no-skull-strip --normalization white-matter""",
)
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@chain_options
@click.option(
    "-n",
    "--output-name",
    metavar="NAME",
    help="Write one volume of this name instead of a BIDS dataset; its extension may say the format.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, *, file: Path, output_name: str | None, is_json: bool, **flags: Any) -> None:
    """Preprocess one scan on this machine.

    FILE is a 3-D NIfTI file, T1-weighted unless its name ends in `T2w`. Without `--output-name` and `--format` the
    results are what the functions on AWS would write: a BIDS derivative dataset with the brain, its mask, sidecars
    and a quality report. With either, they are one volume and its sidecar.

    `mgz` keeps place and orientation, but not the name of the space. `analyze` is for old software only: it holds no
    orientation, no origin and no rotation, so that left and right are a matter of convention (stored right to left,
    as readers expect).

    A scan that would not fit into the memory that is free now (or left to the container) is refused before it is
    read. The exit code is 1 when the scan cannot be processed, whatever quality control says of one that can.
    """
    from neuro_cli.dataset import local_scan
    from neuro_cli.deployed.trace_context import environment_context
    from neuro_cli.terminal.progress import FileProgress

    with environment_context():
        task = file_task(flags, name=output_name)
        with FileProgress(task.options.steps, files=1) as progress:
            result = task(local_scan(file), lambda step: progress.step(file.name, step))
            progress.end(file.name)
    _print(result, is_json)
    ctx.exit(1 if result.is_failed else 0)


def _print(result: "FileResult", is_json: bool) -> None:
    from neuro_cli.terminal.console import print_error, print_json, print_warning

    if is_json:
        print_json(result.to_dict())
        return
    if result.fault is not None:
        print_error(f"`{result.file}`: {result.fault.message} ({result.fault.code})", result.fault.hint)
        return
    for notice in result.notices:
        print_warning(f"{notice.message} ({notice.code})")
    _print_success(result)


def _print_success(result: "FileResult") -> None:
    from neuro_cli.terminal.console import stdout
    from neuro_cli.terminal.tables import main_output, verdict_text
    from neuro_cli.terminal.words import of_seconds

    console = stdout()
    console.print(
        f"{result.key}: brain {result.brain_volume_ml:.0f} mL in {of_seconds(result.total_seconds)}, quality:",
        verdict_text(result),
        soft_wrap=True,
    )
    for reason in result.reasons:
        console.print(f"  {reason}", soft_wrap=True)
    console.print(main_output(result), soft_wrap=True)
