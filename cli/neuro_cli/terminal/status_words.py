"""What became of a run, for a person."""

import click
from rich.text import Text

from neuro_cli.deployed.runs import RunStatus
from neuro_cli.terminal.console import print_error, stdout
from neuro_cli.terminal.tables import OUTCOME_STYLES, OUTCOME_WORDS, VERDICT_STYLES
from neuro_cli.terminal.words import of_seconds
from pipeline.keys import STAGES


def print_status(status: RunStatus) -> None:
    """Print a run's status; an error, and what to do about it, on stderr."""
    console = stdout()
    outcome = (OUTCOME_WORDS[status.outcome], OUTCOME_STYLES[status.outcome])
    line = Text.assemble(status.key or status.run_id, ": ", outcome)
    if status.outcome in ("running", "rejected", "failed") and status.stage:
        line.append(f" {'after' if status.outcome == 'running' else 'in'} {status.stage}")
    if status.verdict is not None:
        line.append(", quality: ")
        line.append(status.verdict, VERDICT_STYLES.get(status.verdict, ""))
        line.append(f" {' '.join(status.reasons)}".rstrip())
    if status.brain_volume_ml is not None:
        line.append(f", brain {status.brain_volume_ml:.0f} mL")
    console.print(line, soft_wrap=True)
    if status.seconds:
        stages = (f"{stage} {of_seconds(status.seconds[stage])}" for stage in STAGES if stage in status.seconds)
        click.echo(f"  {'  '.join(stages)}")
    click.echo(f"  run {status.run_id}")
    if status.report is not None:
        click.echo(f"  {status.report}")
    if status.error is not None:
        print_error(f"{status.error['message']} ({status.error['code']}, {status.error['file']})", status.error["hint"])
