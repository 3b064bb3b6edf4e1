"""One scan through all functions with the official instrumentations, held to the same scan with the layer's own."""

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from lambda_local import LogLine
from neuro_cli.telemetry.otlp_files import OtlpFiles
from neuro_cli.telemetry.recording import Recording, load_recording
from neuro_cli.telemetry.sink import OtlpSink

ROOT = Path(__file__).parent.parent.parent
DERIVATIVES = "neuro-preprocess-derivatives"
STAGES = ("Conform", "SkullStrip", "BiasCorrect", "Normalize", "Report")
UPLOAD = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
CONTRIB = "opentelemetry.instrumentation"
# What is another one in every run.
VOLATILE = {"aws.request_id", "server.port", "neuro.run.id", "pipeline.duration", "processing.total_time"}

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Run:
    """What came of the scan."""

    ends: dict[str, list[str]]
    objects: dict[str, bytes]
    lines: list[str]
    recording: Recording

    @property
    def spans(self):
        """Of the one trace there is, by function and then by time."""
        ((trace_id, spans),) = self.recording.traces.items()
        assert trace_id == UPLOAD[0]
        return sorted(spans.values(), key=lambda span: (STAGES.index(span.writer), span.start_ns))

    @property
    def roots(self):
        return [span for span in self.spans if "faas.invocation_id" in span.attributes and span.kind == "server"]

    def places(self):
        """Every span by whose it is and what it is called, and the same of its parent."""
        known = {span.span_id: span for span in self.spans}
        return Counter(
            (span.writer, span.name, span.kind, parent and parent.writer, parent and parent.name)
            for span in self.spans
            for parent in [known.get(span.parent_id)]
        )


@pytest.fixture(scope="module")
def run(start_system, head, lack, tmp_path_factory):
    """By mode: a run takes seconds, and every test looks at it."""
    if not (ROOT / ".build/layers/TelemetryContribLayer/python/wrapt").is_dir():
        lack("the contrib layer is not built: `make layers` does it")
    name = "sub-01/anat/sub-01_T1w.nii.gz"
    runs = {}

    def process(mode):
        folder = tmp_path_factory.mktemp(mode)
        lines = []
        with (
            OtlpSink(OtlpFiles(folder)) as sink,
            start_system(
                otlp_endpoint=sink.url,
                more_layers=("TelemetryContribLayer",),
                environment={"OTEL_LAMBDA_INSTRUMENTATION": mode},
            ) as system,
        ):
            system.service.subscribe(lambda event: lines.append(event) if isinstance(event, LogLine) else None)
            system.upload(head, name, traceparent=f"00-{UPLOAD[0]}-{UPLOAD[1]}-01")
            system.drain()
            keys = system.keys(DERIVATIVES)
            objects = {key: system.s3.get_object(Bucket=DERIVATIVES, Key=key)["Body"].read() for key in keys}
            ends = system.ends(name)
        own = [line.message for line in lines if not line.is_platform and line.extension is None]
        return Run(ends, objects, own, load_recording(folder))

    def find(mode):
        if mode not in runs:
            runs[mode] = process(mode)
        return runs[mode]

    return find


def test_scan_ends_the_same_in_both_modes(run):
    own, contrib = run("own"), run("contrib")
    assert contrib.ends == own.ends == {"sub-01/anat/sub-01_T1w.nii.gz": ["derivatives"]}
    assert contrib.objects.keys() == own.objects.keys()
    images = [key for key in own.objects if key.endswith((".nii.gz", ".png"))]
    assert len(images) >= 3
    assert {key: contrib.objects[key] for key in images} == {key: own.objects[key] for key in images}


def test_functions_print_the_same_in_both_modes(run):
    told = [
        [(line["level"], line["message"], line["stage"], line.get("outcome")) for line in map(json.loads, one.lines)]
        for one in (run("own"), run("contrib"))
    ]
    assert len(told[0]) == 2 * len(STAGES)
    assert told[1] == told[0]


def test_every_function_has_its_root_from_the_official_instrumentation_in_the_uploads_trace(run):
    roots = run("contrib").roots
    assert [root.writer for root in roots] == list(STAGES)
    assert {root.scope for root in roots} == {f"{CONTRIB}.aws_lambda"}
    assert roots[0].parent_id == UPLOAD[1]
    # ... and in the own mode from the layer, or the comparisons below would be of contrib with itself
    assert {root.scope for root in run("own").roots} == {"lambda_otel"}


def test_requests_to_s3_are_the_official_instrumentations(run):
    spans = run("contrib").spans
    requests = [span for span in spans if span.name.startswith("S3.")]
    assert {span.writer for span in requests} == set(STAGES)
    assert all(span.scope.startswith(f"{CONTRIB}.botocore") for span in requests)
    assert not any(span.scope.startswith("lambda_otel") for span in spans)


def test_spans_stand_in_the_same_places_in_both_modes(run):
    own, contrib = run("own"), run("contrib")
    assert contrib.places() == own.places()
    known = {span.span_id: span for span in contrib.spans}
    parents = [known[root.parent_id] for root in contrib.roots[1:]]
    assert [(parent.writer, parent.name) for parent in parents] == [(name, "write_output") for name in STAGES[:-1]]


def differences(own, contrib):
    """What the one says and the other does not, of one span."""
    pairs = {
        "scope": (own.scope, contrib.scope),
        "kind": (own.kind, contrib.kind),
        "status": (own.is_error, contrib.is_error),
        "events": ([event.name for event in own.events], [event.name for event in contrib.events]),
        "links": (len(own.links), len(contrib.links)),
    }
    yield from (what for what, (ours, theirs) in pairs.items() if ours != theirs)
    ours, theirs = own.attributes, contrib.attributes
    yield from (f"only own: `{name}`" for name in ours.keys() - theirs.keys())
    yield from (f"only contrib: `{name}`" for name in theirs.keys() - ours.keys())
    yield from (f"value of `{name}`" for name in (ours.keys() & theirs.keys()) - VOLATILE if ours[name] != theirs[name])


def listed():
    """The table of the README, as requests by difference."""
    text = (ROOT / "layers/telemetry-contrib/README.md").read_text()
    table = text.split("<!-- S3 differences -->")[1].split("<!-- end -->")[0]
    found = defaultdict(set)
    for what, requests, reason in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", table, re.M)[2:]:
        assert len(reason) > 10, f"`{what}` needs a reason"
        how, _, names = what.rpartition(": ")
        for name in names.split(", "):
            found[f"{how}: {name}" if how else name] |= set(requests.split(", "))
    return dict(found)


def test_requests_to_s3_differ_as_the_readme_says_and_no_more(run):
    ours, theirs = ([span for span in run(mode).spans if span.name.startswith("S3.")] for mode in ("own", "contrib"))
    assert [(span.writer, span.name) for span in ours] == [(span.writer, span.name) for span in theirs]
    seen = defaultdict(set)
    for own, contrib in zip(ours, theirs, strict=True):
        for difference in differences(own, contrib):
            seen[difference].add(own.name)
    assert dict(seen) == listed()


def test_spans_of_the_functions_own_are_equal_in_both_modes(run):
    ours, theirs = (
        [span for span in run(mode).spans if span.scope == "neuro_preprocess"] for mode in ("own", "contrib")
    )
    assert {span.writer for span in ours} == set(STAGES)
    assert [list(differences(own, contrib)) for own, contrib in zip(ours, theirs, strict=True)] == [[]] * len(ours)


def test_logs_and_metrics_are_the_same_in_both_modes(run):
    own, contrib = run("own"), run("contrib")
    known = {span.span_id for span in contrib.spans}
    (records,) = contrib.recording.logs.values()
    assert all(record.trace_id == UPLOAD[0] and record.span_id in known for record in records)
    # the bodies are the very lines that were printed
    assert Counter(record.body for record in records) == Counter(contrib.lines)

    def measured(one):
        return {
            (metric.name, series.labels, series.function): series.count if metric.kind == "histogram" else series.total
            for metric in one.recording.totals.metrics()
            if metric.name.startswith("neuro.") and metric.kind != "gauge"
            for series in metric.series
        }

    assert measured(contrib)["neuro.files.processed", (("modality", "T1w"),), "Report"] == 1
    assert measured(contrib) == measured(own)
