"""What a person is told when a command cannot do its work."""

from typing import IO, Any

import click


class CliError(click.ClickException):
    """A command's failure, as one sentence and, where there is one, a hint.

    Parameters
    ----------
    message : str
        What was expected and what came; literals in backticks.
    hint : str, optional
        What to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002  click's own signature
        """Print the error, and the hint apart from it, on stderr."""
        from neuro_cli.terminal.console import print_error

        print_error(self.message, self.hint)
