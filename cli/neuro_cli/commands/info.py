"""`neuro-preprocess info`: what a file is, without changing anything."""

from pathlib import Path
from typing import Any

import click

from neuro_cli.options import json_option, setting_option


@click.command(
    "info",
    epilog="""\b
Examples:
  neuro-preprocess info sub-01_T1w.nii.gz
  neuro-preprocess info --json scan.nii | jq .header.shape
  neuro-preprocess info --voxel-size-mm 0.5 scan.nii    what it would become, and whether it fits""",
)
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@setting_option("--voxel-size-mm", "NEURO_VOXEL_SIZE_MM")
@click.option("--header-only", is_flag=True, help="Leave the voxels unread: quicker, but damage to them goes unseen.")
@json_option
@click.pass_context
def command(ctx: click.Context, file: Path, voxel_size_mm: float, header_only: bool, is_json: bool) -> None:
    """Show what a file is, whether it can be processed, and what it would become.

    Reads the whole file, to its checksum, as the pipeline would, and changes nothing. The header's text fields, which
    may name a patient, are not shown. The exit code is 1 when the pipeline would refuse the file.
    """
    from neuro_cli.inprocess.scan_info import scan_info

    found = scan_info(file, voxel_size_mm=voxel_size_mm, is_header_only=header_only)
    if is_json:
        from neuro_cli.terminal.console import print_json

        print_json(found.to_dict())
    else:
        _print(found)
    ctx.exit(0 if found.fault is None else 1)


def _print(found: Any) -> None:
    from neuro_cli.terminal.console import print_error, print_warning

    for label, value in _lines(found):
        click.echo(f"{label:<13}{value}")
    for notice in found.notices:
        print_warning(f"{notice.message} ({notice.code})")
    if found.fault is not None:
        print_error(f"{found.fault.message} ({found.fault.code})", found.fault.hint)


def _lines(found: Any) -> list[tuple[str, str]]:
    from neuro_cli.inprocess.scan_info import SPACES
    from neuro_cli.terminal.words import of_bytes, product

    name, header, plan = found.name, found.header, found.plan
    lines = [("file", str(found.scan.path))]
    if found.size_bytes is not None:
        lines.append(("size", of_bytes(found.size_bytes)))
    if header is not None:
        compression = "gzip" if header.is_gzipped else "not compressed"
        endian = "big-endian" if header.is_big_endian else "little-endian"
        lines += [
            ("format", f"NIfTI-{header.version}, {compression}, {endian} {header.dtype.name}"),
            ("shape", f"{product(header.shape)} voxels of {product(header.voxel_size_mm)} mm"),
        ]
        if header.is_scaled:
            lines.append(("scaling", f"stored value * {header.slope:g} + {header.intercept:g}"))
    if plan is not None:
        lines.append(("orientation", f"{plan.source_orientation}, space: {SPACES[header.xform_code]}"))
    if found.intensities is not None:
        lines.append(("intensities", f"{found.intensities.minimum:g} to {found.intensities.maximum:g}"))
    kind = "BIDS" if name.is_valid else "not a BIDS name"
    lines.append(("name", f"{kind}; taken as {name.contrast}; derivatives are called `{name.stem}_...`"))
    if plan is not None:
        untouched = "unchanged" if plan.source_orientation == "RAS" else "only reordered"
        how = "resampled" if plan.is_resampled else untouched
        lines.append(("becomes", f"{product(plan.shape)} voxels, RAS, {how}"))
        lines.append(("memory", f"{of_bytes(found.needed_bytes)} at the peak; {of_bytes(found.available_bytes)} free"))
    return [*lines, ("verdict", "can be processed" if found.fault is None else f"refused: {found.fault.code}")]
