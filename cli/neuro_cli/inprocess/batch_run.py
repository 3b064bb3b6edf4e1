"""Many files, one after another or several at once, of which none can stop the others."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from opentelemetry import metrics, trace

from neuro_cli.dataset import LocalScan
from neuro_cli.inprocess.faults import Fault
from neuro_cli.inprocess.file_run import FileTask
from neuro_cli.inprocess.results import FileResult
from neuro_cli.inprocess.workers import Crashed, OnStep, Stepped, run_in_processes
from neuro_preprocess.bids import BidsName
from pipeline import telemetry

# Told the scan and the step it has come to.
OnScanStep = Callable[[LocalScan, str], None]

_KILLED = -9


def run_batch(scans: Sequence[LocalScan], task: FileTask, jobs: int, on_step: OnScanStep) -> Iterator[FileResult]:
    """The result of each scan, as it comes in.

    Parameters
    ----------
    scans : sequence of LocalScan
    task : FileTask
    jobs : int
        Processes; with 1 all is done in this one.
    on_step : callable
    """
    unique, twins = _told_apart(scans)
    yield from twins
    if jobs == 1:
        for scan in unique:
            yield task(scan, lambda step, scan=scan: on_step(scan, step))  # type: ignore[misc]
        return
    for message in run_in_processes(partial(_run_and_flush, task), unique, jobs):
        if isinstance(message, Stepped):
            on_step(message.item, message.step)
        elif isinstance(message, Crashed):
            yield _crashed(message.item, message.exit_code)
        else:
            yield message.result


def _run_and_flush(task: FileTask, scan: LocalScan, on_step: OnStep) -> FileResult:
    """Process a file in a worker, whose telemetry must be out before it ends: its process runs no exit handlers."""
    result = task(scan, on_step)
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        flush = getattr(provider, "force_flush", None)  # the API's own providers have nothing to flush
        if flush is not None:
            flush()
    return result


def _told_apart(scans: Sequence[LocalScan]) -> tuple[list[LocalScan], list[FileResult]]:
    """The scans whose derivatives have names of their own, and a failure for each that would overwrite another's."""
    taken: dict[tuple[str, str], LocalScan] = {}
    twins = []
    for scan in scans:
        name = BidsName.parse(scan.key)
        first = taken.setdefault((name.stem, name.contrast), scan)
        if first is not scan:
            message = f"its derivatives would have the same names as those of `{first.key}`"
            fault = Fault("SAME_NAME", message, "keep one of the two, or put them into different datasets")
            twins.append(_failed(scan, fault))
    return list(taken.values()), twins


def _crashed(scan: LocalScan, exit_code: int | None) -> FileResult:
    hint = "the system may have run out of memory: use fewer `--jobs`" if exit_code == _KILLED else ""
    return _failed(scan, Fault("CRASHED", f"the process that worked on it died with exit code {exit_code}", hint))


def _failed(scan: LocalScan, fault: Fault) -> FileResult:
    """The result of a file that no process could finish, nor count."""
    telemetry.count_end(BidsName.parse(scan.key).contrast, is_failed=True)
    return FileResult(file=str(scan.path), key=scan.key, fault=fault)
