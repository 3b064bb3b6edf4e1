"""`neuro-preprocess batch`: every scan of a folder through all stages, here and now."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from neuro_cli.commands._chain_flags import chain_options, file_task
from neuro_cli.options import json_option, pattern_option

if TYPE_CHECKING:
    from neuro_cli.dataset import Found
    from neuro_cli.inprocess.results import FileResult


@click.command(
    "batch",
    epilog="""\b
Examples:
  neuro-preprocess batch my-dataset -o my-dataset/derivatives/neuro-preprocess
  neuro-preprocess batch scans -o out -p "*_T1w.nii.gz" --jobs 4
  neuro-preprocess batch scans -o out --json | jq '.files[] | select(.outcome == "failed")'""",
)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, exists=True, path_type=Path))
@chain_options
@pattern_option
@click.option("--no-progress", is_flag=True, help="Show no progress bars. Without a terminal there are none anyway.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Scans at work at once, each in a process of its own. A scan takes about 0.7 GB.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, *, folder: Path, pattern: str, no_progress: bool, jobs: int, is_json: bool, **flags: Any
) -> None:
    """Preprocess every scan of a folder on this machine.

    Of a BIDS dataset all T1w and T2w scans are taken, of any other folder all files that match the pattern (upper or
    lower case) in it and below. Results of before, which are files of the output folder with `_desc-` in their names,
    are left out. A scan that cannot be processed stops no other one. The exit code is 1 when there was one, or none at
    all. `process --help` says what the options mean.
    """
    from neuro_cli.dataset import find_scans
    from neuro_cli.errors import CliError
    from neuro_cli.terminal.console import print_json, print_warning

    found = find_scans(folder, pattern, output=flags["output"])
    if not found.scans:
        raise CliError(f"no scan in `{folder}` matches `{pattern}`", hint=_hint(found))
    if found.results:
        print_warning(_results_left_out(found))
    started = perf_counter()
    results = _run(found, flags, jobs, is_shown=not no_progress)
    results.sort(key=lambda result: result.key)
    failed = sum(result.is_failed for result in results)
    seconds = perf_counter() - started
    if is_json:
        print_json(
            {
                "input": str(folder),
                "output": str(flags["output"]),
                "total": len(results),
                "failed": failed,
                "left_out": found.results,
                "seconds": round(seconds, 3),
                "files": [result.to_dict() for result in results],
            }
        )
    else:
        _print(results, failed, seconds, flags["output"])
    ctx.exit(1 if failed else 0)


def _run(found: "Found", flags: dict[str, Any], jobs: int, *, is_shown: bool) -> list["FileResult"]:
    from neuro_cli.deployed.trace_context import environment_context
    from neuro_cli.inprocess.batch_run import run_batch
    from neuro_cli.terminal.progress import FileProgress
    from pipeline import telemetry

    jobs = min(jobs, len(found.scans))
    results = []
    with environment_context(), telemetry.step("preprocess_batch", attributes={"files": len(found.scans)}) as step:
        task = file_task(flags, jobs=jobs, is_in_batch=True)
        with FileProgress(task.options.steps, len(found.scans), is_shown=is_shown) as progress:
            for result in run_batch(found.scans, task, jobs, lambda scan, name: progress.step(scan.key, name)):
                progress.end(result.key)
                results.append(result)
        step.span.set_attribute("files.failed", sum(result.is_failed for result in results))
    return results


def _print(results: Sequence["FileResult"], failed: int, seconds: float, output: Path) -> None:
    from neuro_cli.terminal.console import print_error, print_warning, stdout
    from neuro_cli.terminal.tables import results_table
    from neuro_cli.terminal.words import counted, of_seconds

    console = stdout()
    console.print(results_table(results))
    for result in results:
        for reason in result.reasons:
            print_warning(f"`{result.key}`: {reason}")
        if result.fault is not None:
            print_error(f"`{result.key}`: {result.fault.message} ({result.fault.code})", result.fault.hint)
    failures = f", {failed} failed" if failed else ""
    console.print(f"{counted(len(results), 'scan')} in {of_seconds(seconds)}{failures}: {output}", soft_wrap=True)


def _results_left_out(found: "Found") -> str:
    from neuro_cli.terminal.words import counted

    are = "is" if found.results == 1 else "are"
    return (
        f"{counted(found.results, 'file')} of the output folder {are} left out: `_desc-` in its name says that a file "
        "is a result, not a scan"
    )


def _hint(found: "Found") -> str:
    if found.results:
        return _results_left_out(found)
    if found.others:
        return f"{found.others} matching files of this BIDS dataset are no T1w or T2w scans, and are left out"
    return "name another pattern with `--pattern`"
