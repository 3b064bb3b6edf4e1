"""Options that several commands have, and the settings that the functions have too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from neuro_cli.dataset import DEFAULT_PATTERN

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "is_json", is_flag=True, help="Print one JSON document on stdout.")

pattern_option = click.option(
    "-p",
    "--pattern",
    default=DEFAULT_PATTERN,
    show_default=True,
    help="File names to take from folders.",
)

project_option = click.option(
    "--project",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The project's folder [default: the one around the working directory].",
)


class _Setting(click.ParamType[Any]):
    """A value of one of the functions' settings, checked as they check it."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(f"`{value}`: {error}", param, ctx)


def setting_option(flag: str, setting_name: str) -> Callable[[F], F]:
    """An option for a setting of `pipeline.config`, with its default, its help, and its variable to set it by."""
    from pipeline.config import SETTINGS

    setting = next(setting for setting in SETTINGS if setting.name == setting_name)
    return click.option(
        flag,
        type=_Setting(setting.unit or "value", setting.parse),
        default=setting.default,
        envvar=setting.name,
        show_default=True,
        show_envvar=True,
        help=f"{setting.help}.",
    )
