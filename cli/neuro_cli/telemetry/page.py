"""The page about one scan's trace: what ran when, what it logged, what was counted, and what telling it cost."""

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from neuro_cli.telemetry._markup import Cell, of_duration, section, table
from neuro_cli.telemetry._style import TRACE_STYLE
from neuro_cli.telemetry.cost import Cost
from neuro_cli.telemetry.metric_totals import Labels, Metric, Series, merged, quantile
from neuro_cli.telemetry.recording import LogRecord, Recording
from neuro_cli.telemetry.scan_trace import ScanTrace
from neuro_cli.telemetry.waterfall import legend, render_overview, render_waterfall
from neuro_cli.terminal.words import counted, of_bytes
from neuro_preprocess.report.page_head import page_head

_BADGES = {"pass": "pass", "done": "pass", "fail": "fail", "refused": "fail", "failed": "fail"}
_LEVELS = {"WARN": "warn-text", "WARNING": "warn-text", "ERROR": "fail-text", "CRITICAL": "fail-text"}
# Of a log line: what other columns or the page's head say already.
_SAID = {
    "timestamp", "level", "message", "service", "stage", "location", "trace_id", "span_id", "xray_trace_id", "run_id",
    "aws_request_id", "file_path",
}  # fmt: skip
_OURS = "neuro."  # first in the table
# What differs by function and is the platform's, not the pipeline's.
_BY_FUNCTION = ("faas.", "aws.lambda.", "lambda_otel.", "lambda_collector.")
# Its series are not parts of one number: what was accepted is sent, too.
_NO_SUM = ("lambda_collector.items",)
_FIGURES = ("Total", "Count", "Mean", "p95")


def render_page(trace: ScanTrace, recording: Recording, cost: Cost | None, *, report_link: str = "") -> str:
    """Page about one trace, complete in itself: no script, no font, no request.

    Parameters
    ----------
    trace : ScanTrace
    recording : Recording
        The session that the trace is of; the metrics are its totals.
    cost : Cost or None
        None: it was not measured.
    report_link : str
        Relative link to the scan's quality report, where there is one.

    Returns
    -------
    str
    """
    name = escape(trace.name)
    writers = list(dict.fromkeys(group.writer for group in trace.groups))
    parts = [
        *page_head(f"trace: {name}", further_style=TRACE_STYLE),
        "<body>",
        _header(trace, report_link),
        "<main>",
        section("functions", "Functions", f'<div class="overview">{render_overview(trace)}</div>', legend(writers)),
        section("trace", "Trace", render_waterfall(trace, recording)),
        section("logs", "Log", _logs(trace)),
        section("metrics", "Metrics", _metrics(recording)),
        section("cost", "What the telemetry costs", _cost(cost)),
        "</main>",
        f"<footer>{_footer(recording)}</footer>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _header(trace: ScanTrace, report_link: str) -> str:
    badge = f'<span class="badge {_BADGES.get(trace.verdict, "warn")}">{escape(trace.verdict)}</span>'
    errors = sum(bool(group.error_type) for group in trace.groups)
    is_whole = "faas.name" not in trace.groups[0].rows[0].span.resource
    facts = {
        "from upload to end" if is_whole else "from begin to end": (of_duration(trace.seconds), ""),
        "functions": (str(len(trace.functions)), ""),
        "cold starts": (str(trace.cold_starts), ""),
        "spans": (str(len(trace.spans)), ""),
        "log records": (str(len(trace.logs)), ""),
        "with errors": (str(errors), "fail-text" if errors else ""),
    }
    items = "".join(f'<div><dt>{name}</dt><dd class="{css}">{value}</dd></div>' for name, (value, css) in facts.items())
    ids = f"trace <code>{trace.trace_id}</code>"
    if trace.run_id:
        ids += f" &middot; run <code>{escape(trace.run_id)}</code>"
    if report_link:
        ids += f' &middot; <a href="{escape(report_link)}">quality report</a>'
    return (
        f"<header><h1>{escape(trace.name)}</h1>{badge}<p>Its way through the pipeline, as its telemetry tells it.</p>"
        f'</header><section aria-label="At a glance"><dl class="facts">{items}</dl><p class="ids">{ids}</p></section>'
    )


def _logs(trace: ScanTrace) -> str:
    if not trace.logs:
        return '<p class="quiet">None in this trace.</p>'
    headings = [Cell("After", "number"), Cell("Level"), Cell("Function"), Cell("Message"), Cell("Fields")]
    return table("logs", "log records", headings, (_log_row(record, trace.start_ns) for record in trace.logs))


def _log_row(record: LogRecord, start_ns: int) -> list[Cell]:
    fields = _fields(record)
    message = str(fields.get("message", record.body))
    level = record.level or str(fields.get("level", ""))
    more = " ".join(f"{key}={_short(value)}" for key, value in fields.items() if key not in _SAID)
    return [
        Cell(of_duration(max(0, record.at_ns - start_ns) / 1e9), "number"),
        Cell(level, _LEVELS.get(level, "quiet")),
        Cell(record.writer, "nowrap"),
        Cell(message, "message"),
        Cell(more, "more"),
    ]


def _fields(record: LogRecord) -> Mapping[str, Any]:
    """Of a JSON line its own; of any other the record's attributes."""
    try:
        line = json.loads(record.body)
    except ValueError:
        line = None
    return line if isinstance(line, dict) else record.attributes


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _metrics(recording: Recording) -> str:
    metrics = recording.totals.metrics()
    if not metrics:
        return '<p class="quiet">None were received.</p>'
    headings = [Cell("Metric"), *(Cell(figure, "number") for figure in _FIGURES)]
    note = (
        '<p class="quiet">Totals of the whole session, all scans and functions. Gauges have their last value. '
        "A percentile is estimated from the histogram's buckets.</p>"
    )
    metrics.sort(key=lambda metric: (not metric.name.startswith(_OURS), metric.name))
    return note + table("metrics", "metrics", headings, map(_metric_row, metrics))


def _metric_row(metric: Metric) -> list[Cell]:
    text = f"<code>{escape(metric.name)}</code>"
    if metric.description:
        text += f'<span class="description">{escape(metric.description)}</span>'
    series = _shown_series(metric)
    if len(series) == 1 and (name := _series_name(series[0])):
        text += f'<span class="description">{escape(name)}</span>'
    if len(series) > 1:
        headings = [Cell("Series"), *(Cell(figure, "number") for figure in _FIGURES)]
        rows = ([Cell(_series_name(one), is_heading=True), *_figures(metric, one)] for one in series)
        parts = table("series", f"series of {metric.name}", headings, rows)
        text += f"<details><summary>{len(series)} series</summary>{parts}</details>"
    is_sum = len(series) == 1 or not (metric.kind == "gauge" or metric.name in _NO_SUM)
    return [Cell(html=text, is_heading=True), *(_figures(metric, metric.all) if is_sum else [Cell()] * len(_FIGURES))]


def _shown_series(metric: Metric) -> tuple[Series, ...]:
    """Of the pipeline's own metrics one for each combination of attributes, whichever function it comes from."""
    if metric.kind == "gauge" or metric.name.startswith(_BY_FUNCTION):
        return metric.series
    by_labels: dict[Labels, list[Series]] = {}
    for one in metric.series:
        by_labels.setdefault(one.labels, []).append(one)
    return tuple(merged(parts, labels) for labels, parts in sorted(by_labels.items()))


def _series_name(series: Series) -> str:
    labels = dict(series.labels)
    if series.function:
        labels = {"function": series.function} | labels
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _figures(metric: Metric, series: Series) -> list[Cell]:
    total = Cell(_figure(series.total, metric.unit), "number")
    if metric.kind != "histogram":
        return [total, Cell(), Cell(), Cell()]
    mean = series.total / series.count if series.count else None
    return [
        total,
        Cell(f"{series.count:,}", "number"),
        *(
            Cell("" if value is None else _figure(value, metric.unit), "number")
            for value in (mean, quantile(series, 0.95))
        ),
    ]


def _figure(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "not defined"
    if value < 0:
        return f"-{_figure(-value, unit)}"
    if unit == "s":
        return of_duration(value) if value else "0 s"
    if unit == "By":
        return of_bytes(round(value))
    number = f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:,.4g}"
    return f"{number} {unit}" if unit and not unit.startswith("{") and unit != "1" else number


def _cost(cost: Cost | None) -> str:
    if cost is None or cost.layer_s is None or cost.layer_init_s is None:
        return '<p class="quiet">It was not measured in this session.</p>'
    processes = cost.processes
    rows = [
        ("telemetry layer, in the functions", cost.layer_s, cost.layer_init_s),
        ("Collector extension", processes.extension_s, processes.extension_start_s),
    ]
    cells = [
        [
            Cell(name, is_heading=True),
            Cell(of_duration(running_s), "number"),
            Cell(_percent(cost.share(running_s)), "number"),
            Cell(of_duration(start_s), "number"),
        ]
        for name, running_s, start_s in rows
        if running_s or start_s
    ]
    headings = [Cell("CPU time of"), *(Cell(text, "number") for text in ("Invocations", "Share", "Cold starts"))]
    share, whole = _percent(cost.running_share or 0), _percent(cost.whole_share or 0)
    return (
        f"<p>Of the CPU time in which this session's scans were processed, telemetry took <b>{share}</b>. "
        f"With its part of the cold starts, which come once an environment and not once a scan, it is {whole} of "
        f"{of_duration(cost.everything_s)}.</p>{table('figures', 'CPU time', headings, cells)}"
    )


def _percent(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")


def _footer(recording: Recording) -> str:
    return escape(
        f"{counted(recording.span_count, 'span')}, {counted(recording.log_count, 'log record')} and "
        f"{counted(recording.totals.point_count, 'metric point')} received in this session."
    )
