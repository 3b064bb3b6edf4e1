"""The command group. A command's module is imported when the command is called, so that `--help` answers at once."""

import importlib
import logging
import sys

import click

from neuro_preprocess import __version__

# Command to its module (in this package), its function and the first line of its help; a test holds the two equal.
COMMANDS: dict[str, tuple[str, str]] = {
    "process": ("process", "Preprocess one scan on this machine."),
    "batch": ("batch", "Preprocess every scan of a folder on this machine."),
    "info": ("info", "Show what a file is, whether it can be processed, and what it would become."),
    "demo": ("demo", "Send scans through the whole pipeline, functions and all, on this machine."),
    "local": ("local", "Run the pipeline's functions and buckets on this machine."),
    "upload": ("upload", "Upload scans to the raw bucket, which starts their processing."),
    "status": ("status", "Tell what became of a scan."),
    "report": ("report", "Show a scan's trace, its log and the metrics, as one page."),
    "replay": ("replay", "Invoke a function with a stored event."),
}


class _LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(f"neuro_cli.commands.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`neuro-preprocess COMMAND --help` has examples. Research use only: not a medical device.",
)
@click.version_option(__version__, prog_name="neuro-preprocess")
@click.option("-v", "--verbose", is_flag=True, help="Also log each step, on stderr.")
def main(verbose: bool) -> None:
    """Structural MRI preprocessing: a T1w or T2w scan in, BIDS derivatives with quality control out.

    `process`, `batch` and `info` work on files here and now. `demo` and `local` run the pipeline as AWS
    would, from the same template and the same layers. `upload`, `status` and `replay` talk to the local
    service if it is up, else to AWS.

    Results go to stdout, everything else to stderr. The exit code is 0 when all went well, 1 when a scan
    or a request failed, 2 when the command line is wrong.
    """
    logging.getLogger("neuro_cli").addHandler(logging.NullHandler())  # silent, unless asked
    if verbose:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        for name in ("neuro_cli", "lambda_local"):
            logging.getLogger(name).setLevel(logging.DEBUG)
