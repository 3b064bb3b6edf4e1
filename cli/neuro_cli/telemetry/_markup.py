"""Pieces of HTML that the page's parts share. Every text is escaped here or by whoever gives it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A cell of a table: text, to be escaped, or HTML that is escaped already."""

    text: str = ""
    css: str = ""
    html: str = ""
    is_heading: bool = False


def section(identifier: str, heading: str, *content: str) -> str:
    """A part of the page, that a heading names."""
    inner = "".join(content)
    return f'<section aria-labelledby="{identifier}"><h2 id="{identifier}">{escape(heading)}</h2>{inner}</section>'


def table(css: str, label: str, headings: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    """A table that may be scrolled sideways where it is too wide.

    Parameters
    ----------
    css : str
        The table's class.
    label : str
        What a screen reader calls it.
    headings : sequence of Cell
    rows : iterable of sequences of Cell
    """
    head = "".join(f'<th scope="col"{_class(cell.css)}>{_content(cell)}</th>' for cell in headings)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    # what can be scrolled must be reachable by keyboard
    region = f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
    return f'{region}<table class="{css}"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def definitions(values: Mapping[str, Any]) -> str:
    """Names and values, as a list."""
    items = (f"<div><dt>{escape(name)}</dt><dd>{escape(shown(value))}</dd></div>" for name, value in values.items())
    return f'<dl class="values">{"".join(items)}</dl>'


def chip(text: str, css: str = "") -> str:
    """A word or two that stand out."""
    return f'<span class="chip{" " if css else ""}{css}">{escape(text)}</span>'


def shown(value: Any) -> str:
    """An attribute's value as text."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def of_duration(seconds: float) -> str:
    """A duration with three digits: `85 us`, `4.21 ms`, `1.30 s`, `2 min 5 s`."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{_three(seconds * 1e3)} ms"
    if seconds < 99.95:
        return f"{_three(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _three(number: float) -> str:
    """Three digits, zeros at the end included."""
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"


def _cell(cell: Cell) -> str:
    tag, scope = ("th", ' scope="row"') if cell.is_heading else ("td", "")
    return f"<{tag}{scope}{_class(cell.css)}>{_content(cell)}</{tag}>"


def _content(cell: Cell) -> str:
    return cell.html or escape(cell.text)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
