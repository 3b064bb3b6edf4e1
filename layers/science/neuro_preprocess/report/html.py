"""The quality report of a scan as one HTML page."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from neuro_preprocess.image import Contrast, Notice
from neuro_preprocess.quality import QualityMeasures
from neuro_preprocess.quality.measure_table import MEASURES, limit_of, range_text
from neuro_preprocess.quality.verdict import SelfCheck, Verdict
from neuro_preprocess.report.page_head import page_head

_WHAT_TO_DO = {
    "pass": "No measure is out of the ordinary. A look at the picture is still worth its minute.",
    "warn": "Look at the picture before using the derivatives.",
    "fail": "Do not use the derivatives.",
}
# How names of self-checks say their units, and how people do.
_UNITS = {"_mm2": "mm²", "_mm": "mm", "_ml": "mL"}
_LIMITS_OF_USE = (
    "For research. This is not a medical device: neither the mask nor the measures may be used for diagnosis.",
    "Tissues are three classes of intensity (Otsu), not a segmentation. Measures that rest on them can be compared "
    "with those of other scans measured in this way, not with norms that were made with FAST or by MRIQC.",
    "Taking away skull and face makes a scan harder to recognise; it is not a certified way of making it anonymous.",
)


class _Cell(NamedTuple):
    text: str
    css: str = ""
    is_heading: bool = False


_VALUE = _Cell("Value", "number")


def render_report(
    *,
    title: str,
    verdict: Verdict,
    measures: QualityMeasures,
    checks: Iterable[SelfCheck],
    notices: Sequence[Notice],
    stage_seconds: Mapping[str, float],
    provenance: Mapping[str, str],
    picture: bytes | str,
    contrast: Contrast = "T1w",
) -> str:
    """Page about one scan, complete in itself: no script, no font, no request.

    Every text is escaped. What it shows is what it is given: a pseudonym for a title, no patient's name.

    Parameters
    ----------
    title : str
        The scan's BIDS name, as `sub-01_ses-2`.
    verdict : Verdict
    measures : QualityMeasures
    checks : iterable of SelfCheck
        Of the brain mask.
    notices : sequence of Notice
        What was odd about the file.
    stage_seconds : mapping of str to float
        Wall time of each stage, in s, in the order in which they ran.
    provenance : mapping of str to str
        What made the derivatives: software versions, parameters, the source.
    picture : bytes or str
        The mosaic: a PNG file to be embedded, or a relative link to one.
    contrast : {"T1w", "T2w"}, default="T1w"

    Returns
    -------
    str
    """
    name = escape(f"{title} {contrast}")
    parts = [
        *page_head(f"{verdict.status}: {name}"),
        "<body>",
        _header(name, verdict),
        _figure(picture, name),
        '<div class="pair">',
        _section("Brain mask", _checks_table(checks)),
        _section("Stages", _stages_table(stage_seconds)),
        "</div>",
        _section("Image quality", _measures_table(measures, contrast)),
        _section("Notices", _notices_table(notices)),
        _section("How it was made", _provenance_table(provenance)),
        _section("Limits", "".join(f"<p>{escape(text)}</p>" for text in _LIMITS_OF_USE)),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _header(name: str, verdict: Verdict) -> str:
    badge = f'<span class="badge {verdict.status}">{verdict.status}</span>'
    header = f"<header><h1>{name}</h1>{badge}<p>{_WHAT_TO_DO[verdict.status]}</p></header>"
    if not verdict.reasons:
        return header
    items = (
        f'<li class="{reason.status}"><code>{escape(reason.code)}</code> {escape(reason.message)}</li>'
        for reason in verdict.reasons
    )
    return header + _section("Reasons", f'<ul class="reasons">{"".join(items)}</ul>')


def _figure(picture: bytes | str, name: str) -> str:
    if isinstance(picture, bytes):
        source = "data:image/png;base64," + base64.b64encode(picture).decode()
    else:
        source = escape(picture)
    caption = (
        "The brain mask's edge on the corrected scan, from three sides; below, the scan before and after bias "
        "correction, and the field. What lies around the brain is dimmed on purpose."
    )
    image = f'<img src="{source}" alt="Slices of {name}">'
    return f"<section><figure>{image}<figcaption>{caption}</figcaption></figure></section>"


def _checks_table(checks: Iterable[SelfCheck]) -> str:
    rows = [
        (
            _Cell(_check_title(check.name), is_heading=True),
            _Cell(_number(check.value), "number"),
            _Cell(range_text(check.low, check.high), "range"),
            _Cell("passed", "pass-text") if check.is_passed else _Cell("not passed", "fail-text"),
        )
        for check in checks
    ]
    return _table(("Self-check", _VALUE, "Expected", "Result"), rows)


def _stages_table(stage_seconds: Mapping[str, float]) -> str:
    stages = {**stage_seconds, "all": sum(stage_seconds.values())} if stage_seconds else {}
    rows = [
        (_Cell(stage.replace("_", " "), is_heading=True), _Cell(f"{seconds:.2f}", "number"))
        for stage, seconds in stages.items()
    ]
    return _table(("Stage", _Cell("Seconds", "number")), rows)


def _measures_table(measures: QualityMeasures, contrast: Contrast) -> str:
    rows = []
    for measure in MEASURES:
        value = getattr(measures, measure.name)
        limit = limit_of(measure.name, contrast)
        is_outside = limit is not None and (value < limit.low or value > limit.high)
        rows.append(
            (
                _Cell(measure.title, is_heading=True),
                _Cell(_number(value), "number warn-text" if is_outside else "number"),
                _Cell(measure.unit, "quiet"),
                _Cell(range_text(limit.low, limit.high) if limit else "", "range"),
                _Cell(measure.meaning, "meaning"),
            )
        )
    return _table(("Measure", _VALUE, "Unit", "Expected", "Meaning"), rows)


def _notices_table(notices: Sequence[Notice]) -> str:
    rows = [(_Cell(notice.code, is_heading=True), _Cell(notice.message)) for notice in notices]
    return _table(("Notice", "What was odd"), rows)


def _provenance_table(provenance: Mapping[str, str]) -> str:
    return _table(
        ("What", "Which"), [(_Cell(what, is_heading=True), _Cell(which)) for what, which in provenance.items()]
    )


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{heading}</h2>{content}</section>"


def _table(headings: Sequence[str | _Cell], rows: Sequence[Sequence[_Cell]]) -> str:
    if not rows:
        return '<p class="quiet">None.</p>'
    cells = (heading if isinstance(heading, _Cell) else _Cell(heading) for heading in headings)
    head = "".join(f'<th scope="col"{_css(cell.css)}>{escape(cell.text)}</th>' for cell in cells)
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(cell: _Cell) -> str:
    tag, scope = ("th", ' scope="row"') if cell.is_heading else ("td", "")
    return f"<{tag}{scope}{_css(cell.css)}>{escape(cell.text)}</{tag}>"


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""


def _check_title(name: str) -> str:
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')}, {unit}"
    return name.replace("_", " ")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "not defined"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
