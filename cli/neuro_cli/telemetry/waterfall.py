"""A trace as bars on one time axis, function by function."""

import math
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import PurePosixPath

from neuro_cli.telemetry._markup import chip, definitions, of_duration
from neuro_cli.telemetry.recording import Link, Recording, Span
from neuro_cli.telemetry.scan_trace import Group, Row, ScanTrace

COLOURS = 8  # of `--bar` in the style; writers beyond them share
_TICKS = 8
_MOST_ROWS = 1000  # of one invocation: beyond it a browser, and whoever reads, would have enough
_MOST_DEPTH = 10  # that is seen as further in
_LEFT_OUT = "*"
_RUN_ID = re.compile(r"[0-9a-f]{24}")
# A text of this share of the axis has room beside a bar.
_ROOM = 0.12


class _Axis:
    """Times to places on the page."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._start_ns, self._length_ns = start_ns, max(1, end_ns - start_ns)

    @property
    def seconds(self) -> float:
        return self._length_ns / 1e9

    def share(self, at_ns: int) -> float:
        return min(1.0, max(0.0, (at_ns - self._start_ns) / self._length_ns))

    def offset(self, at_ns: int) -> str:
        return of_duration(max(0, at_ns - self._start_ns) / 1e9)


def render_overview(trace: ScanTrace) -> str:
    """One line for each process that took part: what it waited for, its start if that was cold, and its work."""
    axis = _Axis(trace.start_ns, trace.end_ns)
    writers = _writers(trace)
    lines = "".join(_line(number, group, writers, axis) for number, group in enumerate(trace.groups))
    return _frame(lines, axis, "function")


def render_waterfall(trace: ScanTrace, recording: Recording) -> str:
    """All spans of a trace as bars; what a span says unfolds below it.

    Parameters
    ----------
    trace : ScanTrace
    recording : Recording
        Knows the spans that links name.
    """
    axis = _Axis(trace.start_ns, trace.end_ns)
    writers = _writers(trace)
    groups = (
        f'<li id="{_anchor(number)}" class="{_colour(group, writers)}" aria-label="{escape(_title(group))}">'
        f"{''.join(_rows(group, axis, recording))}</li>"
        for number, group in enumerate(trace.groups)
    )
    return _frame("".join(groups), axis, "span")


def _frame(items: str, axis: _Axis, heading: str) -> str:
    """A list of rows below an axis with its ticks."""
    step = _step(axis.seconds)
    places = ((number * step, number * step / axis.seconds) for number in range(math.floor(axis.seconds / step) + 1))
    ticks = "".join(
        f'<span style="left:{share:.3%}">{_tick(at)}</span>' for at, share in places if share < 1 - _ROOM / 3
    )
    return (
        f'<div class="waterfall" style="--step:{step / axis.seconds:.4%}">'
        f'<div class="row axis" aria-hidden="true"><span class="label">{heading}</span>'
        f'<span class="track">{ticks}</span></div><ol>{items}</ol></div>'
    )


def _line(number: int, group: Group, writers: Sequence[str], axis: _Axis) -> str:
    first = group.rows[0].span
    parts = [
        (group.waited_ns, "wait"),
        ((group.init.start_ns, group.init.end_ns) if group.init else None, "init"),
        ((first.start_ns, max(first.end_ns, group.end_ns)), ""),
    ]
    bars = "".join(_stretch(*part, axis, css) for part, css in parts if part is not None)
    chips = _chips(group.error_type, is_cold=group.is_cold)
    text = of_duration((group.end_ns - first.start_ns) / 1e9)
    begin_ns = group.start_ns if group.waited_ns is None else group.waited_ns[0]
    return (
        f'<li class="{_colour(group, writers)}"><a class="row first" href="#{_anchor(number)}">'
        f'<span class="label"><span class="name">{escape(_title(group))}</span>{chips}</span>'
        f'<span class="track">{bars}{_text(begin_ns, group.end_ns, axis, text)}</span></a></li>'
    )


def _writers(trace: ScanTrace) -> list[str]:
    return list(dict.fromkeys(group.writer for group in trace.groups))


def _colour(group: Group, writers: Sequence[str]) -> str:
    return f"colour-{writers.index(group.writer) % COLOURS}"


def _anchor(number: int) -> str:
    return f"group-{number + 1}"


def _title(group: Group) -> str:
    """The function, or what was done where there is none."""
    first = group.rows[0].span
    return group.writer if "faas.name" in first.resource else first.name


def _chips(error_type: str, *, is_cold: bool) -> str:
    return (chip("cold start", "cold") if is_cold else "") + (chip(error_type, "error") if error_type else "")


def _rows(group: Group, axis: _Axis, recording: Recording) -> Iterator[str]:
    if group.waited_ns is not None:
        text = of_duration((group.waited_ns[1] - group.waited_ns[0]) / 1e9)
        track = _track(*group.waited_ns, axis, text, "wait")
        yield f'<div class="row wait"><span class="label">notification, queue, start</span>{track}</div>'
    if group.init is not None:
        yield _row(Row(group.init, 0), axis, recording, title=f"{group.writer}: init", css="init")
    first, *rest = group.rows
    yield _row(first, axis, recording, title=_title(group), css="first", is_cold=group.is_cold)
    for row in rest[:_MOST_ROWS]:
        yield _row(row, axis, recording, title=row.span.name)
    if len(rest) > _MOST_ROWS:
        yield f'<p class="quiet">and {len(rest) - _MOST_ROWS:,} more spans, which are not shown</p>'


def _row(row: Row, axis: _Axis, recording: Recording, *, title: str, css: str = "", is_cold: bool = False) -> str:
    span = row.span
    label = f'<span class="name">{escape(title)}</span>{_chips(span.error_type, is_cold=is_cold)}'
    if row.is_other_trace:
        label += chip("linked trace")
    if span.kind == "client" and (key := span.attributes.get("aws.s3.key")):
        label += f'<span class="object">{escape(_object(str(key)))}</span>'
    duration = of_duration(span.seconds) if span.end_ns else "not ended"
    track = _track(span.start_ns, max(span.start_ns, span.end_ns), axis, duration, "init" if css == "init" else "")
    classes = " ".join(filter(None, ("row", css, "error" if span.is_error else "")))
    depth = f'style="--depth:{min(row.depth, _MOST_DEPTH)}"'
    return (
        f'<details><summary class="{classes}"><span class="label" {depth}>{label}</span>{track}</summary>'
        f'<div class="about">{"".join(_about(span, axis, recording))}</div></details>'
    )


def _track(start_ns: int, end_ns: int, axis: _Axis, text: str, css: str) -> str:
    bar = _stretch(start_ns, end_ns, axis, css)
    return f'<span class="track">{bar}{_text(start_ns, end_ns, axis, text)}</span>'


def _stretch(start_ns: int, end_ns: int, axis: _Axis, css: str) -> str:
    left, right = axis.share(start_ns), axis.share(end_ns)
    return f'<i{f" class={css}" if css else ""} style="left:{left:.3%};width:{right - left:.3%}"></i>'


def _text(start_ns: int, end_ns: int, axis: _Axis, text: str) -> str:
    """A text beside a bar: after it, before it, or where neither has room, at its end."""
    left, right = axis.share(start_ns), axis.share(end_ns)
    if right < 1 - _ROOM:
        place = f'style="left:{right:.3%}"'
    elif left > _ROOM:
        place = f'class="before" style="right:{1 - left:.3%}"'
    else:
        place = f'class="over" style="right:{1 - right:.3%}"'
    return f"<b {place}>{text}</b>"


def _object(key: str) -> str:
    """A key in short: what tells this object from others of the same scan or run."""
    path = PurePosixPath(key)
    if _RUN_ID.match(path.name):
        return _RUN_ID.sub(_LEFT_OUT, f"{path.parent.name}/{path.name}")
    _, description, rest = path.name.partition("_desc-")
    return f"{_LEFT_OUT}{description}{rest}" if description else path.name


def _about(span: Span, axis: _Axis, recording: Recording) -> Iterator[str]:
    facts = {
        "span": f"{span.name} ({span.kind})",
        "began": f"{axis.offset(span.start_ns)} after the start",
        "took": of_duration(span.seconds) if span.end_ns else "not ended when this was written",
        "span id": span.span_id,
    }
    if span.message:
        facts["status"] = span.message
    yield definitions(facts | dict(sorted(span.attributes.items())))
    for event in span.events:
        heading = f"Event <b>{escape(event.name)}</b>, {axis.offset(event.at_ns)} after the start"
        yield f"<p>{heading}</p>{definitions(event.attributes)}"
    for link in span.links:
        yield f"<p>Link to {_target(link, recording)}</p>{definitions(link.attributes)}"


def _target(link: Link, recording: Recording) -> str:
    known = recording.find(link.span_id, link.trace_id)
    name = f"<b>{escape(known.name)}</b> of {escape(known.writer)}" if known else "a span that was not recorded"
    return f"{name} (trace <code>{link.trace_id}</code>, span <code>{link.span_id}</code>)"


def _step(seconds: float) -> float:
    """A round number of seconds between ticks."""
    magnitude: float = 10.0 ** math.floor(math.log10(seconds / _TICKS))
    return next(magnitude * factor for factor in (1, 2, 5, 10) if seconds / (magnitude * factor) <= _TICKS)


def _tick(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds else "0"


def legend(writers: Sequence[str]) -> str:
    """What colours and patterns mean."""
    items = [f'<li class="colour-{number % COLOURS}"><i></i>{escape(name)}</li>' for number, name in enumerate(writers)]
    items.append('<li class="init"><i></i>initialisation of a new environment</li>')
    items.append('<li class="wait"><i></i>waiting for the next function</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'
