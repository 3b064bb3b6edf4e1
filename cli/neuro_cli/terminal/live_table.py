"""A board as a table that is drawn again while the work goes on."""

from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from neuro_cli.local.board import Board, Place, ScanState
from neuro_cli.terminal.words import of_seconds, scan_name
from pipeline.keys import STAGES, StageName

_MARKS = {
    Place.DONE: ("\N{CHECK MARK}", "green"),
    Place.REJECTED: ("\N{BALLOT X}", "red"),
    Place.FAILED: ("\N{BALLOT X}", "red"),
    Place.RETRYING: ("\N{CLOCKWISE OPEN CIRCLE ARROW}", "yellow"),
}


class LiveTable:
    """What a `rich.live.Live` draws: a row for each scan, a column for each stage.

    Parameters
    ----------
    board : Board
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        # One for all cells: each new one would begin to turn from the start.
        self._spinner = Spinner("dots", style="cyan")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table as it is now."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("scan", no_wrap=True, min_width=16, max_width=34)
        for stage in STAGES:
            table.add_column(stage.replace("_", " "), min_width=9)
        now, spin = datetime.now(UTC), self._spinner.render(console.get_time())
        for scan in tuple(self._board.scans.values()):
            cells = [_cell(scan, stage, now, str(spin)) for stage in STAGES]
            table.add_row(Text(scan_name(scan.label)), *cells)
        yield table


def _cell(scan: ScanState, stage: StageName, now: datetime, spin: str) -> Text:
    state = scan.stages[stage]
    if state.place is Place.RUNNING and state.since is not None:
        return Text(f"{spin} {(now - state.since).total_seconds():.1f} s", "cyan")
    if state.place is Place.WAITING:
        return Text(f"{spin} start" if scan.next_stage is stage else "", "dim")
    mark, style = _MARKS[state.place]
    return Text(mark if state.seconds is None else f"{mark} {of_seconds(state.seconds)}", style)
