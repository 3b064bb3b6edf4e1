"""Stored events, the functions they are meant for, and their invocation."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuro_cli.deployed.aws import told_as_errors
from neuro_cli.deployed.target import Target
from neuro_cli.errors import CliError
from pipeline import keys
from pipeline.errors import ConfigError
from pipeline.events import REPLAY_FIELD, S3Object, decode_objects
from pipeline.keys import STAGES, StageName

# Logical ids of the template's functions by stage.
FUNCTIONS = {stage: stage.title().replace("_", "") for stage in STAGES}
_FAILURE_FUNCTION = "Failure"


@dataclass(frozen=True)
class Replay:
    """An event and the function to give it to.

    Attributes
    ----------
    function : str
        Its name, as Lambda knows it.
    event : dict
    run_ids : tuple of str
        Runs that it is about.
    """

    function: str
    event: dict[str, Any]
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came of an invocation; `content` is None where nobody waited for it."""

    function: str
    content: Any
    is_failed: bool
    run_ids: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "function": self.function,
            "outcome": "failed" if self.is_failed else "queued" if self.content is None else "ok",
            "run_ids": list(self.run_ids),
            "answer": self.content,
        }


def load_event(target: Target, text: str) -> dict[str, Any]:
    """The event in a file, an object or standard input; of a failure file, the event that failed.

    Raises
    ------
    CliError
        It cannot be read, or is no event.
    """
    try:
        content = json.loads(_read(target, text))
    except OSError as error:
        raise CliError(f"`{text}` cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise CliError(f"expected an event as JSON, but `{text}` is none: {error}") from error
    if isinstance(content, dict) and "run_id" in content:
        if "event" not in content:
            raise CliError(
                f"`{text}` says why a scan was refused; there is no event in it to replay",
                hint="put the scan right and upload it again",
            )
        content = content["event"]
    if not isinstance(content, dict):
        raise CliError(f"expected an event as a JSON object, but `{text}` holds a {type(content).__name__}")
    return content


def plan_replay(event: dict[str, Any], target: Target, function: str | None, *, is_forced: bool) -> Replay:
    """The function that an event is for, and the event as it is to be sent.

    Parameters
    ----------
    event : dict
    target : Target
    function : str or None
        Its id in the template or its name; None: by the event.
    is_forced : bool
        Make a new run.

    Raises
    ------
    CliError
        The event does not say its function, or cannot begin a new run.
    """
    sources = _objects(event)
    stages = {_stage_for(source, target) for source in sources}
    if is_forced:
        if stages != {STAGES[0]}:
            raise CliError(
                "`--force` makes a new run, which begins at its upload, but this is not the event of an upload",
                hint="give the event of the scan in the raw bucket",
            )
        event = event | {REPLAY_FIELD: datetime.now(UTC).isoformat()}
        sources = _objects(event)
    chosen = function or _function_for(event, stages)
    run_ids = tuple(_run_id(source, target) for source in sources)
    return Replay(target.functions.get(chosen, chosen), event, run_ids)


def invoke(target: Target, replay: Replay, *, is_async: bool) -> Answer:
    """Invoke the function.

    Raises
    ------
    CliError
        Lambda refuses: there is no such function, or one may not invoke it.
    """
    kind = "Event" if is_async else "RequestResponse"
    with told_as_errors(f"function `{replay.function}`"):
        response = target.functions_api.invoke(
            FunctionName=replay.function, InvocationType=kind, Payload=json.dumps(replay.event).encode()
        )
        payload = response["Payload"].read()
    content = json.loads(payload) if payload else None
    return Answer(replay.function, content, "FunctionError" in response, replay.run_ids)


def _read(target: Target, text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("s3://"):
        return Path(text).read_text()
    bucket, _, key = text.removeprefix("s3://").partition("/")
    with told_as_errors(f"`{text}`"):
        content: bytes = target.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content.decode()


def _objects(event: dict[str, Any]) -> tuple[S3Object, ...]:
    try:
        return decode_objects(event)
    except ConfigError:  # an event for another function than a stage
        return ()


def _stage_for(source: S3Object, target: Target) -> StageName:
    stage = keys.stage_for(source, target.work_bucket)
    if stage is None:
        raise CliError(f"`{source.key}` is what the last stage wrote: no function is invoked with it")
    return stage


def _function_for(event: dict[str, Any], stages: set[StageName]) -> str:
    if len(stages) == 1:
        return FUNCTIONS[next(iter(stages))]
    if event.get("Event") == "s3:TestEvent":  # S3 sends it to whom it will notify
        return FUNCTIONS[STAGES[0]]
    records = event.get("Records") or [{}]
    if not stages and records[0].get("eventSource") == "aws:sqs":
        return _FAILURE_FUNCTION
    why = "its objects are for several functions" if stages else "it tells of no object"
    raise CliError(f"the event does not say which function it is for: {why}", hint="name one with `--function`")


def _run_id(source: S3Object, target: Target) -> str:
    parsed = keys.parse_work_key(source.key) if source.bucket == target.work_bucket else None
    return keys.run_id(source) if parsed is None else parsed[1]
