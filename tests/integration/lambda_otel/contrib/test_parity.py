"""One function, three ways: bare, with our wrapper, with the official one. What it does is the same in all of them.

What the two say of an invocation is not the same, and may not be by accident: the table in layers/telemetry-contrib/
README.md names every difference, its events and its reason. It is held to what is seen here, both ways.
"""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
EVENTS = {
    path.stem: json.loads(path.read_text())
    for folder in (ROOT / "events", Path(__file__).parent / "events")
    for path in sorted(folder.glob("*.json"))
}
SOURCES = {"aws:s3": "S3", "aws.s3": "S3", "aws:sqs": "SQS", "aws:sns": "SNS", "aws.events": "schedule"}
KINDS = {*SOURCES.values(), "EventBridge", "REST API", "HTTP API", "function URL", "ALB", "other"}
# X-Ray's, of every invocation: with active tracing
SEGMENT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
# What the function does with an event, in turn: the invocations of an event are as many.
BEHAVIOURS = ("returns", "answers 500", "names a failed message", "raises")
SOURCE = """
import json
import logging
import zlib

from opentelemetry import trace

log = logging.getLogger("app")
log.setLevel("INFO")
count = 0


class ScanError(Exception):
    pass


def behave(behaviour, event):
    if behaviour == 0:
        return {"statusCode": 200, "body": json.dumps(event)}
    if behaviour == 1:
        return {"statusCode": 500}
    if behaviour == 2:
        return {"batchItemFailures": [{"itemIdentifier": "19dd0b57-b21e-4ac1-bd88-01bbb068cb76"}]}
    raise ScanError("no scan in it", 12)


def handler(event, context):
    global count
    behaviour, count = count % 4, count + 1
    # the pipe to the test takes 64 KiB, and is read at the end
    print("event", zlib.crc32(json.dumps(event).encode()), type(event).__name__, context.aws_request_id)
    log.info("behaviour %d", behaviour)
    with trace.get_tracer("app").start_as_current_span("work"):
        return behave(behaviour, event)
"""
INVOCATIONS = [(name, behaviour) for name in EVENTS for behaviour in BEHAVIOURS]


def kind_of(event):
    """In the README's words."""
    fields = event if isinstance(event, dict) else {}
    record = fields.get("Records", [fields])[0]
    source = record.get("eventSource") or record.get("EventSource") or record.get("source")
    request = fields.get("requestContext", {})
    kinds = {
        SOURCES.get(source): source in SOURCES,
        "EventBridge": "detail-type" in fields,
        "ALB": "elb" in request,
        "function URL": "lambda-url" in request.get("domainName", ""),
        "HTTP API": fields.get("version") == "2.0",
        "REST API": bool(request),
        "other": True,
    }
    return next(kind for kind, is_it in kinds.items() if is_it)


_results = {}  # by mode: a run takes seconds, and every test looks at it


@pytest.fixture
def result(run_contrib, collectors, tmp_path):
    """By mode, every event with every behaviour, and a Collector of its own: what the runtime and the Collector got."""

    def find(mode):
        if mode not in _results:
            collector = collectors()
            sandbox = run_contrib(
                SOURCE,
                [EVENTS[name] for name, _ in INVOCATIONS],
                with_layer=mode != "bare",
                headers={"Lambda-Runtime-Trace-Id": SEGMENT},
                OTEL_LAMBDA_INSTRUMENTATION=mode,
                OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            )
            _results[mode] = _steady(sandbox, str(tmp_path)), collector
        return _results[mode]

    return find


def _steady(sandbox, folder):
    """What came of each invocation, and what was printed, without what differs from run to run."""
    outcomes = [(mark.kind, json.loads(mark.body.replace(folder.encode(), b""))) for mark in sandbox.marks if mark.body]
    return outcomes, re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", sandbox.output.replace(folder, ""))


def test_function_does_the_same_bare_and_in_both_modes(result):
    (bare, bare_output), (own, own_output), (contrib, contrib_output) = (
        result(mode)[0] for mode in ("bare", "own", "contrib")
    )
    assert Counter(kind for kind, _ in bare) == {"response": 3 * len(EVENTS), "error": len(EVENTS)}
    assert bare_output.count("event ") == len(INVOCATIONS)
    assert own == bare
    assert contrib == bare  # with the stack traces that Lambda reports
    assert own_output == bare_output
    assert contrib_output == bare_output


def attributes(items):
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in items}


def invocations(collector):
    """By request id: the spans of the invocation but the function's own, the first of them its root."""
    spans = [
        (of_scope.scope.name, span)
        for message in collector.messages("/v1/traces")
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
    found = defaultdict(list)
    roots = {}
    for scope, span in spans:
        if request_id := attributes(span.attributes).get("faas.invocation_id"):
            found[request_id].insert(0, (scope, span))
            roots[span.span_id] = request_id
    for scope, span in spans:
        if scope != "app" and span.span_id not in roots:
            found[roots[span.parent_span_id]].append((scope, span))
    return found


def told(spans):
    """Of an invocation, by the names that the table's first column has for it."""
    (scope, span), *others = spans
    events = [(event.name, attributes(event.attributes)) for event in span.events]
    return {
        "scope": scope,
        "number of spans": 1 + len(others),
        "name": span.name,
        "kind": span.kind,
        "parent": (span.trace_id if span.parent_span_id else b"", span.parent_span_id),
        "links": [(link.trace_id, link.span_id) for link in span.links],
        "status code": span.status.code,
        "status message": span.status.message,
        "events": [(name, fields["exception.type"], fields["exception.message"]) for name, fields in events],
    }


def differences(own, contrib):
    """What the one says and the other does not, of one invocation."""
    ours, theirs = told(own), told(contrib)
    yield from (what for what in ours if ours[what] != theirs[what])
    ours, theirs = attributes(own[0][1].attributes), attributes(contrib[0][1].attributes)
    yield from (f"only own: `{name}`" for name in ours.keys() - theirs.keys())
    yield from (f"only contrib: `{name}`" for name in theirs.keys() - ours.keys())
    yield from (f"value of `{name}`" for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])


def listed():
    """The table of the README, as kinds of event by difference."""
    text = (ROOT / "layers" / "telemetry-contrib" / "README.md").read_text()
    table = text.split("<!-- differences -->")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", table, re.M)[2:]
    assert rows
    found = defaultdict(set)
    for what, kinds, reason in rows:
        assert len(reason) > 10, f"`{what}` needs a reason"
        how, _, names = what.rpartition(": ")  # of several attributes at once, or of none
        for name in names.split(", "):
            found[f"{how}: {name}" if how else name] |= KINDS if kinds == "all" else set(kinds.split(", "))
    return dict(found)


def test_spans_differ_as_the_readme_says_and_no_more(result):
    (_, own), (_, contrib) = result("own"), result("contrib")
    ours, theirs = invocations(own), invocations(contrib)
    assert len(ours) == len(theirs) == len(INVOCATIONS)
    seen = defaultdict(set)
    for number, (name, _) in enumerate(INVOCATIONS, 1):
        request_id = f"8476a536-e9f4-11e8-9739-{number:012x}"
        for difference in differences(ours[request_id], theirs[request_id]):
            seen[difference].add(kind_of(EVENTS[name]))
    assert dict(seen) == listed()


def test_pipeline_is_the_same_in_both_modes(result):
    (_, own), (_, contrib) = result("own"), result("contrib")
    for collector in (own, contrib):
        assert Counter(span.name for span in collector.spans())["work"] == len(INVOCATIONS)
        assert len(collector.records()) == len(INVOCATIONS)
        ends = [
            headers["lambda-otel-invocation"] for _, headers, _ in collector.requests if "lambda-otel-end" in headers
        ]
        assert len(ends) == len(set(ends)) == len(INVOCATIONS)
    assert resource(own) == resource(contrib)


def resource(collector):
    """What all traces say of where they are from, but the id of the environment."""
    found = {
        tuple(sorted((name, str(value)) for name, value in attributes(one.resource.attributes).items()))
        for message in collector.messages("/v1/traces")
        for one in message.resource_spans
    }
    (only,) = found
    return [(name, value) for name, value in only if name != "service.instance.id"]
