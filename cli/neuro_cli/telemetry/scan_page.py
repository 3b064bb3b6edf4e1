"""The page of a scan's trace, written where a person finds it, and linked with the quality report."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from urllib.parse import quote

from neuro_cli.dataset import local_scan
from neuro_cli.errors import CliError
from neuro_cli.telemetry.page import render_page
from neuro_cli.telemetry.scan_trace import find_traces, read_trace, scan_traces
from neuro_cli.telemetry.session import Recorded, read_sessions
from neuro_cli.terminal.words import counted
from pipeline.keys import telemetry_key

_MOST_NAMES = 8
_BODY_END = "</body>"


def write_page(recorded: Recorded, trace_id: str, path: Path, quality_report: Path | None = None) -> None:
    """Write the page of a trace, and where there is a quality report, a link from each to the other.

    The link goes into this copy of the report only: the derivative itself says nothing of the machine that made it.
    """
    report_link = "" if quality_report is None else _relative(quality_report, path)
    trace = read_trace(recorded.recording, trace_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(trace, recorded.recording, recorded.cost, report_link=report_link), encoding="utf-8")
    if quality_report is not None:
        _add_link(quality_report, _relative(path, quality_report))


def find_scan(root: Path, text: str) -> tuple[Recorded, str]:
    """The newest trace of a scan, in the newest session that has one.

    Parameters
    ----------
    root : Path
        Folder of all sessions.
    text : str
        A key, an `s3://` URI, a file's name or path, a run id or a trace id.

    Raises
    ------
    CliError
        There is none.
    """
    words = set(_possible_names(text))
    known: list[str] = []
    for recorded in read_sessions(root):
        found = find_traces(recorded.recording, words)
        if found:
            return recorded, found[0]
        known += [read_trace(recorded.recording, trace_id).name for trace_id in scan_traces(recorded.recording)]
    if not known:
        raise CliError(
            "no telemetry of any scan has been recorded here",
            hint="`neuro-preprocess demo` records it, and so does `neuro-preprocess local up`",
        )
    names = list(dict.fromkeys(known))
    raise CliError(
        f"expected a scan whose telemetry was recorded, but `{text}` names none of them",
        hint=f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:_MOST_NAMES])}"
        + (f" and {counted(len(names) - _MOST_NAMES, 'other')}" if len(names) > _MOST_NAMES else ""),
    )


def _possible_names(text: str) -> Iterator[str]:
    """What telemetry may call a scan: names that are no BIDS names stand there as a hash of their key."""
    key = text.split("/", 3)[-1] if text.startswith("s3://") else text
    yield text.lower() if "." not in text else text
    for possible in (key, PurePath(key).name, *([local_scan(Path(text)).key] if Path(text).is_file() else [])):
        yield telemetry_key(possible)


def _relative(target: Path, page: Path) -> str:
    return quote(Path(os.path.relpath(target, page.parent)).as_posix())


def _add_link(report: Path, link: str) -> None:
    page = report.read_text(encoding="utf-8")
    words = f'<a href="{link}">Trace, log and metrics</a> of the run that made this.'
    section = f"<section><h2>How it ran</h2><p>{words}</p></section>"
    before, end, after = page.rpartition(_BODY_END)
    if end and section not in page:
        report.write_text(f"{before}{section}\n{end}{after}", encoding="utf-8")
