"""What happens in the local service, a line for each step of each scan."""

from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from lambda_local.events import ObjectCreated, ServiceEvent
from neuro_cli.local.board import Board, Change, End, Place

_STYLES = {Place.DONE: "green", Place.REJECTED: "red", Place.FAILED: "red", Place.RETRYING: "yellow"}


class LineReporter:
    """Prints what changes; a subscriber of the service.

    Parameters
    ----------
    board : Board
    console : Console
    """

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console = board, console

    def __call__(self, event: ServiceEvent) -> None:
        """Print an event if it is a step of a scan."""
        change = self._board.on_event(event)
        if change is not None:
            self._console.print(_line(change), soft_wrap=True)


class Keeper:
    """Copies every object of a bucket to a folder as it comes; a subscriber of the service.

    Parameters
    ----------
    s3 : boto3 client
    bucket : str
    folder : Path
    """

    def __init__(self, s3: Any, bucket: str, folder: Path) -> None:
        self._s3, self._bucket, self._folder = s3, bucket, folder

    def __call__(self, event: ServiceEvent) -> None:
        """Copy the object if it is one of the bucket."""
        if isinstance(event, ObjectCreated) and event.bucket == self._bucket:
            download(self._s3, self._bucket, event.key, self._folder)


def download(s3: Any, bucket: str, key: str, folder: Path) -> Path:
    """Copy an object to its key's place below a folder."""
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(path))
    return path


def _line(change: Change) -> Text:
    scan, stage = change.scan, change.stage
    style = "" if stage is None else _STYLES.get(scan.stages[stage].place, "")
    if stage is None and scan.end in (End.REJECTED, End.FAILED):
        style = "bold red"
    time = datetime.now().astimezone().strftime("%H:%M:%S")
    where = f"{stage}  " if stage else ""
    return Text.assemble((f"{time}  ", "dim"), f"{scan.label}  ", (where, "dim"), (change.text, style))
