"""`neuro-preprocess replay`: a function invoked with an event that was stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from neuro_cli.deployed.target import find_target, target_options
from neuro_cli.options import json_option

if TYPE_CHECKING:
    from neuro_cli.deployed.replaying import Answer


class _Source(click.Path):
    """A file that is there, an object, or `-`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if str(value).startswith("s3://") else super().convert(value, param, ctx)


@click.command(
    "replay",
    epilog="""\b
Examples:
  neuro-preprocess replay events/s3-put.json
  neuro-preprocess replay errors/74c3cbc1baa133bdf383687e.failure.json    once the cause is gone
  neuro-preprocess replay --aws s3://my-derivatives/errors/74c3cbc1baa133bdf383687e.failure.json
  neuro-preprocess replay --force events/s3-put.json    the same upload again, as a new run""",
)
@click.argument(
    "events", metavar="EVENT...", nargs=-1, required=True, type=_Source(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--function",
    metavar="NAME",
    help="Function to invoke, by its id in the template (`Conform`) or its own name [default: by the event].",
)
@click.option("--force", is_flag=True, help="Make a new run, though the upload has been processed before.")
@click.option("--async", "is_async", is_flag=True, help="Queue the event, with Lambda's retries, and do not wait.")
@target_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    events: Sequence[str],
    function: str | None,
    force: bool,
    is_async: bool,
    is_aws: bool,
    stack_name: str,
    endpoint_url: str | None,
    bucket: str | None,
    is_json: bool,
) -> None:
    """Invoke a function with a stored event.

    EVENT is a JSON file, an `s3://` URI, or `-` for standard input: an event of S3, EventBridge or SQS, or a failure
    file, of which the event in it is taken. The function is the one that the event was meant for. What has been
    processed already is skipped, unless `--force` makes a new run of an upload. The exit code is 1 when an invocation
    failed.
    """
    from neuro_cli.deployed.replaying import invoke, load_event, plan_replay
    from neuro_cli.terminal.console import print_json

    target = find_target(is_aws=is_aws, stack_name=stack_name, endpoint_url=endpoint_url, bucket=bucket)
    replays = [plan_replay(load_event(target, text), target, function, is_forced=force) for text in events]
    answers = []
    for replay in replays:
        answers.append(invoke(target, replay, is_async=is_async))
        if not is_json:
            _print(answers[-1])
    if is_json:
        print_json([answer.to_dict() for answer in answers])
    ctx.exit(1 if any(answer.is_failed for answer in answers) else 0)


def _print(answer: "Answer") -> None:
    import json

    from neuro_cli.terminal.console import print_error

    content: Any = answer.content
    if answer.is_failed:
        print_error(f"`{answer.function}`: {content.get('errorMessage', '')} ({content.get('errorType', '?')})")
    elif content is None:
        click.echo(f"{answer.function}: queued, {' '.join(f'run {run_id}' for run_id in answer.run_ids)}")
    elif isinstance(content, dict) and "objects" in content:
        click.echo(f"{answer.function}:{'' if content['objects'] else ' nothing to do'}")
        for item in content["objects"]:
            click.echo(f"  {item['file_path']}: {item['outcome']}, run {item.get('run_id', 'none')}")
    else:
        click.echo(f"{answer.function}: {json.dumps(content, ensure_ascii=False)}")
