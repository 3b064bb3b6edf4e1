"""The demonstration's pages: each scan's quality report, and its trace beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuro_cli.local.demo_run import DemoResult
from neuro_cli.telemetry.scan_page import write_page
from neuro_cli.telemetry.scan_trace import find_traces
from neuro_cli.telemetry.session import Recorded
from neuro_preprocess.bids import BidsName, figure_path


@dataclass(frozen=True)
class ScanPages:
    """A scan's pages; None: there is none, since the scan was refused or nothing of it was recorded."""

    quality_report: Path | None
    trace: Path | None


def write_pages(results: Sequence[DemoResult], output: Path, recorded: Recorded) -> list[ScanPages]:
    """Write the trace page of every scan, beside its quality report or else beside its error file.

    Both places are ones that the dataset's `.bidsignore` names: a trace is no derivative of a scan.
    """
    return [_write(result, output, recorded) for result in results]


def _write(result: DemoResult, output: Path, recorded: Recorded) -> ScanPages:
    status = result.status
    report = output / figure_path(BidsName.parse(status.key), ".html") if status.outcome == "done" else None
    if report is None:
        page = output / "errors" / f"{status.run_id}.trace.html"
    else:
        page = report.with_name(report.name.replace("_desc-qc_", "_desc-trace_"))
    found = find_traces(recorded.recording, [status.run_id])
    if not found:
        return ScanPages(report, None)
    write_page(recorded, found[0], page, report)
    return ScanPages(report, page)
