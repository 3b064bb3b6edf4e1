"""The demonstration's work: scans to send, their way through the local service, and the results on disk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neuro_cli.dataset import LocalScan, gather_scans
from neuro_cli.deployed.runs import RunStatus, read_status
from neuro_cli.deployed.target import Target, target_of
from neuro_cli.deployed.uploading import upload_scan
from neuro_cli.errors import CliError
from neuro_cli.local.board import Board
from neuro_cli.local.colin import NotToBeHadError, colin27
from neuro_cli.local.reporter import download
from neuro_cli.local.service import LocalPipeline
from neuro_cli.terminal.words import counted
from neuro_preprocess.nifti import encode_nifti
from neuro_preprocess.phantom import head_phantom

_PATIENCE_S = 0.5
# Sagittal slices of 256 mm by 256 mm, as scanners give them, with the air around the head.
_ACQUIRED = (176, 256, 256)
_PHANTOM = "sub-phantom/anat/sub-phantom_T1w.nii.gz"
_AGAIN = tuple(f"sub-phantom/anat/sub-phantom_run-{run}_T1w.nii.gz" for run in (2, 3))
_COLIN27 = "sub-colin27/anat/sub-colin27_T1w.nii.gz"


@dataclass(frozen=True)
class DemoScan:
    """A scan of the demonstration.

    Attributes
    ----------
    scan : LocalScan
    is_known_good : bool
        It must be processed; a user's own may be refused, and that is as it should be.
    """

    scan: LocalScan
    is_known_good: bool


@dataclass(frozen=True)
class DemoResult:
    """What became of one scan of the demonstration."""

    sent: DemoScan
    status: RunStatus

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether it ended as it had to."""
        return self.status.outcome == "done" or (self.status.outcome == "rejected" and not self.sent.is_known_good)


def gather_demo_scans(own: Sequence[Path], folder: Path, say: Callable[[str], None]) -> list[DemoScan]:
    """A synthetic head, and the user's own scans or else Colin27, if it can be had.

    Parameters
    ----------
    own : sequence of Path
        Files and folders.
    folder : Path
        Where data that are made or fetched are kept.
    say : callable
        Is told what there is to tell, a line at a time.
    """
    phantom = DemoScan(LocalScan(_synthetic_head(folder), _PHANTOM), is_known_good=True)
    if own:
        return [phantom, *(DemoScan(scan, is_known_good=False) for scan in gather_scans(own).scans)]
    try:
        return [phantom, DemoScan(LocalScan(colin27(folder / "mricron-data"), _COLIN27), is_known_good=True)]
    except NotToBeHadError as error:
        say(f"without Colin27, a real head: {error}")
        return [phantom]


def synthetic_scans_again(folder: Path) -> list[DemoScan]:
    """The synthetic head twice more, for functions that are warm by then."""
    path = _synthetic_head(folder)
    return [DemoScan(LocalScan(path, key), is_known_good=True) for key in _AGAIN]


def send_and_wait(
    pipeline: LocalPipeline, board: Board, scans: Sequence[DemoScan], timeout_s: float
) -> list[DemoResult]:
    """Upload all scans, wait until each has come to its end, and tell which.

    Raises
    ------
    CliError
        Some have not ended though nothing is left to do, or after `timeout_s`; or an upload failed.
    """
    target = target_of(pipeline.state)
    runs = {}
    for sent in scans:
        uploaded = upload_scan(target.s3, sent.scan, target.raw_bucket)
        if uploaded.run_id is None:
            raise CliError(f"expected a raw bucket with versions, but `{target.raw_bucket}` has none")
        runs[uploaded.run_id] = sent
    _wait(pipeline, board, set(runs), timeout_s)
    # The stages know a scan whose name is not BIDS by its hash only; here its name is no secret.
    return [DemoResult(sent, replace(read_status(target, run), key=sent.scan.key)) for run, sent in runs.items()]


def _wait(pipeline: LocalPipeline, board: Board, runs: set[str], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not board.wait_for(runs, _PATIENCE_S):
        is_idle = pipeline.service.drain(_PATIENCE_S)
        if (is_idle and not board.wait_for(runs, 0)) or time.monotonic() > end:
            waiting = sum(run not in board.scans or board.scans[run].end is None for run in runs)
            raise CliError(
                f"{counted(waiting, 'scan')} did not come to an end",
                hint="the functions' logs, in `.build/local/logs`, say why",
            )
    # The log line that ends a scan may come before the answer to its last write, by a moment.
    pipeline.service.drain(timeout_s)


def fetch_derivatives(target: Target, folder: Path) -> list[Path]:
    """Copy all derivatives and error files to a folder."""
    pages = target.s3.get_paginator("list_objects_v2").paginate(Bucket=target.derivatives_bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return [download(target.s3, target.derivatives_bucket, key, folder) for key in keys]


def _synthetic_head(folder: Path) -> Path:
    path = folder / Path(_PHANTOM).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(encode_nifti(head_phantom(_ACQUIRED).image))
        partial.replace(path)
    return path
