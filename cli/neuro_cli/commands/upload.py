"""`neuro-preprocess upload`: scans to the raw bucket, which starts the pipeline."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuro_cli.deployed.target import find_target, target_options
from neuro_cli.options import json_option, pattern_option

if TYPE_CHECKING:
    from neuro_cli.dataset import LocalScan
    from neuro_cli.deployed.target import Target
    from neuro_cli.deployed.uploading import Uploaded


def _pairs(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` options as a mapping."""
    pairs = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"expected `KEY=VALUE`, not `{value}`")
        pairs[name.strip()] = content.strip()
    return pairs


@click.command(
    "upload",
    epilog="""\b
Examples:
  neuro-preprocess upload sub-01_T1w.nii.gz         to the local service, if one is up
  neuro-preprocess upload my-dataset --wait         all T1w and T2w scans of a BIDS dataset
  neuro-preprocess upload scan.nii --aws --baggage user.tier=premium""",
)
@click.argument("paths", metavar="FILE|DIR...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prefix", default="", help="What to put before each key, as `site-a/`.")
@pattern_option
@click.option(
    "--baggage",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_pairs,
    help="OpenTelemetry baggage for the scan's processing to carry. May be given more than once. No patient data.",
)
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until every scan has come to its end.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0), default=1800, show_default=True, help="For `--wait`."
)
@target_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    paths: Sequence[Path],
    bucket: str | None,
    prefix: str,
    pattern: str,
    baggage: dict[str, str],
    is_waiting: bool,
    timeout: float,
    is_aws: bool,
    stack_name: str,
    endpoint_url: str | None,
    is_json: bool,
) -> None:
    """Upload scans to the raw bucket, which starts their processing.

    A scan of a BIDS dataset gets its path in the dataset for a key, any other file its name, or its path in the
    folder that was named. From a dataset only T1w and T2w scans are taken; a FILE is taken whatever it is. The trace
    that `TRACEPARENT` names, and the baggage, travel in the object's metadata, and the processing continues them.

    Prints one `s3://` URI a line. The exit code is 1 when a scan could not be uploaded, or with `--wait`, processed.
    """
    from neuro_cli.dataset import gather_scans
    from neuro_cli.errors import CliError

    found = gather_scans(paths, pattern)
    if not found.scans:
        raise CliError(f"no scan matches `{pattern}`", hint="name another pattern with `--pattern`, or name the files")
    target = find_target(is_aws=is_aws, stack_name=stack_name, endpoint_url=endpoint_url, bucket=bucket)
    uploaded, is_failed = _upload(found.scans, target, prefix, baggage, is_json=is_json)
    statuses: list[Any] = []
    if is_waiting:
        statuses = _wait(uploaded, target, timeout, is_json=is_json)
        is_failed |= any(status.outcome != "done" for status in statuses)
    if is_json:
        from neuro_cli.terminal.console import print_json

        outcomes = {status.run_id: status.to_dict() for status in statuses}
        print_json([item.to_dict() | {"status": outcomes.get(item.run_id or "")} for item in uploaded])
    ctx.exit(1 if is_failed else 0)


def _upload(
    scans: Sequence["LocalScan"], target: "Target", prefix: str, baggage: dict[str, str], *, is_json: bool
) -> tuple[list["Uploaded"], bool]:
    from neuro_cli.deployed.trace_context import environment_context
    from neuro_cli.deployed.uploading import carrying, upload_scan
    from neuro_cli.errors import CliError
    from neuro_cli.terminal.console import print_error
    from neuro_cli.terminal.progress import transfer_bar

    uploaded, is_failed = [], False
    with _recorded(target), environment_context(), carrying(baggage), transfer_bar(scans) as advance:
        for scan in scans:
            try:
                item = upload_scan(target.s3, scan, target.raw_bucket, prefix=prefix, on_bytes=advance)
            except CliError as error:
                print_error(error.message, error.hint)
                is_failed = True
                continue
            uploaded.append(item)
            if not is_json:
                click.echo(item.uri)
    return uploaded, is_failed


def _recorded(target: "Target") -> AbstractContextManager[None]:
    """Let the local service, if that records telemetry, see the uploads that its traces begin with."""
    if target.service is None or not target.service.otlp_url:
        return nullcontext()
    from neuro_cli.telemetry.own_spans import own_spans, post_to

    return own_spans(post_to(target.service.otlp_url))


def _wait(uploaded: Sequence["Uploaded"], target: "Target", timeout: float, *, is_json: bool) -> list[Any]:
    from neuro_cli.deployed.waiting import wait_for_ends
    from neuro_cli.terminal.console import stderr
    from neuro_cli.terminal.status_words import print_status

    statuses = []
    for status in wait_for_ends(target, uploaded, timeout, stderr()):
        statuses.append(status)
        if not is_json:
            print_status(status)
    return statuses
