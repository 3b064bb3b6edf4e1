"""Results as tables."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from neuro_cli.deployed.runs import RunStatus
from neuro_cli.inprocess.results import FileResult
from neuro_cli.terminal.words import of_seconds, scan_name
from pipeline.keys import STAGES

VERDICT_STYLES = {"pass": "green", "warn": "yellow", "fail": "red"}
OUTCOME_WORDS = {
    "unknown": "not seen by any stage yet, or longer ago than records are kept",
    "running": "on its way",
    "done": "done",
    "rejected": "refused",
    "failed": "failed",
}
OUTCOME_STYLES = {"done": "green", "rejected": "red", "failed": "bold red", "running": "cyan", "unknown": "yellow"}


def results_table(results: Sequence[FileResult]) -> Table:
    """A row for each file."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("scan", overflow="fold")
    table.add_column("time", justify="right")
    table.add_column("brain", justify="right")
    table.add_column("quality")
    for result in results:
        volume = "" if result.brain_volume_ml is None else f"{result.brain_volume_ml:.0f} mL"
        table.add_row(result.key, of_seconds(result.total_seconds), volume, verdict_text(result))
    return table


def status_table(statuses: Sequence[RunStatus]) -> Table:
    """A row for each run, a column for each stage."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("scan", no_wrap=True, min_width=15)
    for stage in STAGES:
        words = stage.split("_")
        table.add_column(" ".join(words), justify="right", min_width=max(6, *map(len, words)))
    table.add_column("brain", justify="right")
    table.add_column("quality")
    for status in statuses:
        seconds = (of_seconds(status.seconds[stage]) if stage in status.seconds else "" for stage in STAGES)
        volume = "" if status.brain_volume_ml is None else f"{status.brain_volume_ml:.0f} mL"
        verdict = status.verdict or OUTCOME_WORDS[status.outcome]
        style = VERDICT_STYLES.get(verdict, OUTCOME_STYLES[status.outcome])
        table.add_row(scan_name(status.key), *seconds, volume, Text(verdict, style))
    return table


def verdict_text(result: FileResult) -> Text:
    """The verdict, or that there is none because the file failed."""
    if result.fault is not None:
        return Text("failed", style="bold red")
    verdict = result.verdict or "?"
    return Text(verdict, style=VERDICT_STYLES.get(verdict, ""))


def main_output(result: FileResult) -> str:
    """The file that a person opens first: the quality report, or else the result itself."""
    reports = [output for output in result.outputs if Path(output).suffix == ".html"]
    return reports[0] if reports else result.outputs[-1]
