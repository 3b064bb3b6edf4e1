"""The object an event tells of, opened once: its metadata names the invocation's parent, its bytes are the stage's."""

from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context

from neuro_preprocess.bids import is_companion
from pipeline import keys
from pipeline.config import settings
from pipeline.errors import ConfigError, PipelineError
from pipeline.events import Event, S3Object, decode_objects
from pipeline.storage import Opened, storage

# The object, or why S3 does not give it.
Arrival = tuple[Opened | None, PipelineError | None]

_early: dict[S3Object, Arrival] = {}


def context_of(event: Event, lambda_context: Any) -> Context | None:  # noqa: ARG001  the layer's signature
    """The context in the metadata of an event's object; the telemetry layer's event-context hook.

    It runs before the invocation's span is made, which so becomes a child of what wrote the object. The object is kept
    open for the stage. Events of several objects have several parents, and other events none here: they give None.
    """
    _early.clear()
    try:
        (source,) = decode_objects(event)
        if not _is_read(source):
            return None
    except (ConfigError, ValueError):  # the handler will say so itself
        return None
    _early[source] = opened, _ = _open(source)
    return propagate.extract(dict(opened.metadata), Context()) if opened else None


def take(source: S3Object) -> Arrival:
    """The object, or why not: either is told in the span that the object's metadata names the parent of."""
    return _early.pop(source, None) or _open(source)


def _open(source: S3Object) -> Arrival:
    try:
        return storage().open(source.bucket, source.key, source.version_id), None
    except PipelineError as error:
        return None, error


def _is_read(source: S3Object) -> bool:
    return keys.stage_for(source, settings().work_bucket) != keys.STAGES[0] or not is_companion(source.key)
