"""The flags that `process` and `batch` share, and what they mean together."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuro_cli.options import setting_option

if TYPE_CHECKING:
    from neuro_cli.inprocess.file_run import FileTask

F = TypeVar("F", bound=Callable[..., Any])


def chain_options(function: F) -> F:
    """Options that say what is done to a scan and what is written."""
    for option in reversed(
        (
            click.option(
                "-o",
                "--output",
                required=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="Folder for the results; made if need be.",
            ),
            click.option(
                "-f",
                "--format",
                "format_name",
                type=click.Choice(["nifti", "mgz", "analyze"]),
                help="Write one volume in this format instead of a BIDS dataset.",
            ),
            setting_option("--voxel-size-mm", "NEURO_VOXEL_SIZE_MM"),
            setting_option("--brain-fraction", "NEURO_BRAIN_FRACTION"),
            setting_option("--normalization", "NEURO_NORMALIZATION"),
            click.option("--write-head", is_flag=True, help="Also write the whole head (BIDS only). It shows a face."),
            click.option(
                "--no-skull-strip",
                is_flag=True,
                help="Do not look for the brain: it is where the scan is not 0, as after another tool.",
            ),
            click.option("--no-bias-correction", is_flag=True, help="Leave the bias field in."),
            click.option("--no-normalization", is_flag=True, help="Keep the scan's own intensities."),
            click.option(
                "--no-validate",
                is_flag=True,
                help="Do not hold the scan to limits of size and memory. What cannot be read is refused all the same.",
            ),
            click.option("--no-metadata", is_flag=True, help="Write no JSON sidecars: valid BIDS no more."),
            click.option("--no-compress", is_flag=True, help="Write `.nii` (`.mgh`) instead of `.nii.gz` (`.mgz`)."),
        )
    ):
        function = option(function)
    return function


def file_task(
    flags: Mapping[str, Any], *, name: str | None = None, jobs: int = 1, is_in_batch: bool = False
) -> "FileTask":
    """What the flags of `chain_options` ask for.

    Parameters
    ----------
    flags : mapping
        By the options' own names.
    name : str, optional
        Of the one file that is asked for; its extension may say the format.
    jobs : int
        How many files are at work at once.
    is_in_batch : bool
        Each file's trace is its own.
    """
    from opentelemetry import propagate

    from neuro_cli.inprocess.file_run import FileTask
    from neuro_cli.inprocess.outputs import Destination, check_folder
    from neuro_cli.inprocess.preprocessed import ChainOptions

    stem, format_name, is_plain = _named(name, flags["format_name"])
    destination = Destination(
        folder=flags["output"],
        name=stem,
        format=format_name,
        has_metadata=not flags["no_metadata"],
        is_compressed=not (flags["no_compress"] or is_plain),
        has_head=flags["write_head"],
    )
    check_folder(destination)
    options = ChainOptions(
        voxel_size_mm=flags["voxel_size_mm"],
        brain_fraction=flags["brain_fraction"],
        normalization=flags["normalization"],
        strips_skull=not flags["no_skull_strip"],
        corrects_bias=not flags["no_bias_correction"],
        normalizes=not flags["no_normalization"],
        is_validated=not flags["no_validate"],
        memory_shares=jobs,
    )
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return FileTask(options, destination, carrier, is_in_batch)


def _named(name: str | None, asked: Any) -> tuple[str | None, Any, bool]:
    """Stem, format and whether the plain form is meant, of `--output-name` and `--format` together."""
    from neuro_cli.inprocess.formats import split_extension

    if name is None:
        return None, asked, False
    stem, said, is_plain = split_extension(name)
    if not stem or stem in (".", "..") or "/" in name or "\\" in name:
        raise click.BadParameter(f"expected the name of a file, not `{name}`", param_hint="--output-name")
    if asked is not None and said not in (None, asked):
        raise click.BadParameter(f"`{name}` is not the name of a file of format `{asked}`", param_hint="--output-name")
    return stem, asked or said or "nifti", is_plain
