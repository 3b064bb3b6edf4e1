"""`neuro-preprocess status`: what became of a scan."""

import click

from neuro_cli.deployed.target import find_target, target_options
from neuro_cli.options import json_option


@click.command(
    "status",
    epilog="""\b
Examples:
  neuro-preprocess status sub-01_T1w.nii.gz
  neuro-preprocess status s3://my-raw/site-a/sub-01/anat/sub-01_T1w.nii.gz
  neuro-preprocess status 74c3cbc1baa133bdf383687e --json    by run id, as logs and traces have it""",
)
@click.argument("scan")
@target_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    scan: str,
    is_aws: bool,
    stack_name: str,
    endpoint_url: str | None,
    bucket: str | None,
    is_json: bool,
) -> None:
    """Tell what became of a scan.

    SCAN is its key, its file name, a file on this machine, or a run id. Of several uploads of a scan the newest
    counts. The exit code is 1 when it was refused or failed, or cannot be found.
    """
    from neuro_cli.deployed.run_search import find_status
    from neuro_cli.terminal.console import print_json
    from neuro_cli.terminal.status_words import print_status

    target = find_target(is_aws=is_aws, stack_name=stack_name, endpoint_url=endpoint_url, bucket=bucket)
    status = find_status(target, scan)
    if is_json:
        print_json(status.to_dict())
    else:
        print_status(status)
    ctx.exit(1 if status.outcome in ("rejected", "failed") else 0)
