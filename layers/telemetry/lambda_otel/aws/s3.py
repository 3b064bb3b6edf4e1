"""S3: bucket and key on the span, the context in the metadata of what is written.

Metadata stays with the object, so whoever reads it later learns the trace that wrote it: a `GetObject` that finds a
context of another trace gets a link to it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, format_trace_id, get_current_span

from lambda_otel.aws._service import Fields, Params, Service, text
from lambda_otel.aws.carrier import fitting, missing, size_bytes
from lambda_otel.aws.object_keys import shown_key
from lambda_otel.export.drops import Drops

# S3's limit on user metadata, names and values together.
_MAX_METADATA_BYTES = 2048


def _describe(operation: str, params: Params) -> dict[str, Any]:  # noqa: ARG001  the form's signature
    key = text(params.get("Key"))
    described: dict[str, Any] = {
        "aws.s3.bucket": text(params.get("Bucket")),
        "aws.s3.key": None if key is None else shown_key(key),
    }
    if "UploadId" in params:
        part = params.get("PartNumber")
        described["aws.s3.upload_id"] = text(params["UploadId"])
        described["aws.s3.part_number"] = part if isinstance(part, int) else None
    if "CopySource" in params:
        described["aws.s3.copy_source"] = _copy_source(params["CopySource"])
    return described


def _copy_source(source: Any) -> str | None:
    """`bucket/key`, of what is a dict or an encoded path; the key as keys are shown."""
    if isinstance(source, Mapping):
        bucket, key = text(source.get("Bucket")), text(source.get("Key"))
    elif isinstance(source, str):
        bucket, _, key = unquote(source.partition("?")[0]).lstrip("/").partition("/")
    else:
        return None
    shown = shown_key(key) if key else None
    return f"{bucket}/{shown}" if bucket and shown else bucket


def _with_metadata(params: Params, fields: Fields, drops: Drops) -> Params:
    own = params.get("Metadata", {})
    if not isinstance(own, Mapping) or not all(isinstance(value, str) for value in own.values()):
        return params
    # botocore refuses metadata that is not ASCII
    ascii_fields = {name: value for name, value in fields.items() if value.isascii()}
    free_bytes = _MAX_METADATA_BYTES - size_bytes(own)
    added = fitting(missing(ascii_fields, own), lambda some: size_bytes(some) <= free_bytes, drops)
    return {**params, "Metadata": {**own, **added}} if added else params


def _with_metadata_if_replaced(params: Params, fields: Fields, drops: Drops) -> Params:
    """A copy keeps its source's metadata, and so the context in it, unless it is to have its own."""
    return _with_metadata(params, fields, drops) if params.get("MetadataDirective") == "REPLACE" else params


def _conclude(span: Span, operation: str, answer: Mapping[str, Any]) -> None:
    if operation != "GetObject" or not (metadata := answer.get("Metadata")):
        return
    trace_id = span.get_span_context().trace_id
    if format_trace_id(trace_id) in metadata.get("traceparent", ""):  # the same trace, as it mostly is
        return
    writer = get_current_span(extract(metadata, Context())).get_span_context()
    if writer.is_valid and writer.trace_id != trace_id:
        span.add_link(writer)


SERVICE = Service(
    _describe,
    _conclude,
    injectors={
        "PutObject": _with_metadata,
        "CreateMultipartUpload": _with_metadata,
        "CopyObject": _with_metadata_if_replaced,
    },
)
