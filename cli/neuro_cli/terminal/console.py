"""Where words go: results to stdout, everything that is said about them to stderr."""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.text import Text

_ENDLESS = 1000


def stderr() -> Console:
    """Console for progress, notes and errors. No markup: a file's name may look like it."""
    return Console(stderr=True, highlight=False, markup=False)


def stdout() -> Console:
    """Console for results; where they go to a file or a pipe, lines are as long as they are."""
    return Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else _ENDLESS)


def print_error(message: str, hint: str = "") -> None:
    """Say what went wrong, and apart from it what may help."""
    _say("error", "bold red", message)
    if hint:
        _say("hint", "bold cyan", hint)


def print_warning(message: str) -> None:
    """Say what a person should know, though the work goes on."""
    _say("warning", "bold yellow", message)


def print_json(value: Any) -> None:
    """One JSON document on stdout, and nothing else there."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _say(kind: str, style: str, message: str) -> None:
    stderr().print(Text.assemble((f"{kind}:", style), " ", message), soft_wrap=True)
