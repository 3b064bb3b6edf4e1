import pytest

from neuro_cli.telemetry.scan_trace import find_traces, read_trace, scan_traces

TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "f" * 32
RUN = "74c3cbc1baa133bdf383687e"
MS = 1_000_000


def names(group):
    return [(row.depth, row.span.name) for row in group.rows]


@pytest.fixture
def trace(record, scan):
    return read_trace(record(**scan), TRACE)


def test_trace_is_told_function_by_function(trace):
    upload, conform, strip = trace.groups
    assert names(upload) == [(0, "upload_file")]
    assert names(conform) == [(0, "Conform"), (1, "preprocess_file"), (2, "write_output")]
    assert names(strip) == [(0, "SkullStrip"), (1, "preprocess_file")]


def test_head_of_the_trace(trace):
    assert (trace.name, trace.run_id, trace.verdict) == ("sub-01_T1w.nii.gz", RUN, "refused")
    assert trace.functions == ("Conform", "SkullStrip")
    assert trace.seconds == pytest.approx(1.0)
    assert len(trace.spans) == 7
    assert [record.writer for record in trace.logs] == ["Conform", "SkullStrip"]


def test_cold_start_has_its_initialisation_and_a_warm_one_has_none(trace):
    _, conform, strip = trace.groups
    assert (conform.is_cold, conform.init.seconds) == (True, pytest.approx(0.3))
    assert (strip.is_cold, strip.init) == (False, None)
    assert trace.cold_starts == 1


def test_waiting_ends_where_the_environment_begins_to_start(trace):
    upload, conform, strip = trace.groups
    begin, end = conform.waited_ns
    assert (end - begin) / MS == 10  # from the upload's end to the begin of init
    begin, end = strip.waited_ns
    assert (end - begin) / MS == 120  # from the end of `write_output`
    assert upload.waited_ns is None


def test_error_is_that_of_the_outermost_span_that_failed(trace):
    assert [group.error_type for group in trace.groups] == ["", "", "NO_BRAIN"]


def test_initialisation_is_the_last_one_before_its_invocation_and_beside_it(record, writer):
    conform, extension = writer("Conform"), writer("Conform", "x", is_extension=True)
    init = {"aws__lambda__initialization_type": "on-demand"}
    traces = [
        extension.span("too early", "1", 0, 1, "9", **init),
        extension.span("right", "2", 2, 5, "9", **init),
        extension.span("too late", "3", 7, 8, "9", **init),
        extension.span("of another invocation", "4", 3, 5, "8", **init),
        writer("Other", "x", is_extension=True).span("of another function", "5", 3, 5, "9", **init),
        conform.span("Conform", "6", 6, 9, "9", faas__coldstart=True, faas__invocation_id="r"),
    ]
    (group,) = read_trace(record(traces=traces), TRACE).groups
    assert group.init.name == "right"


def test_initialisation_of_an_invocation_in_a_trace_of_its_own_is_there_too(record, writer):
    conform, extension = writer("Conform"), writer("Conform", "x", is_extension=True)
    traces = [
        extension.span("init", "1", 0, 5, trace=OTHER, aws__lambda__initialization_type="on-demand"),
        conform.span("Conform", "2", 10, 50, trace=OTHER, faas__coldstart=True, faas__invocation_id="a"),
        conform.span("preprocess_file", "3", 20, 40, "9", links=[(OTHER, "2")]),
    ]
    (group,) = read_trace(record(traces=traces), TRACE).groups
    assert group.init.name == "init"


def test_invocations_of_one_environment_stay_apart(record, writer):
    """A second delivery to a warm environment, or a retry: both are children of what wrote the object."""
    one = writer()
    traces = [
        one.span("Conform", "2", 10, 20, "1", faas__coldstart=True, faas__invocation_id="a"),
        one.span("Conform", "3", 30, 40, "1", faas__coldstart=False, faas__invocation_id="b"),
    ]
    assert [group.is_cold for group in read_trace(record(traces=traces), TRACE).groups] == [True, False]


def test_invocation_that_its_own_environment_caused_is_a_group_of_its_own(record, writer):
    one = writer()
    traces = [
        one.span("Conform", "2", 10, 20, faas__invocation_id="a"),
        one.span("Lambda.Invoke", "3", 15, 16, "2"),
        one.span("Conform", "4", 30, 40, "3", faas__invocation_id="b"),
    ]
    groups = read_trace(record(traces=traces), TRACE).groups
    assert [names(group) for group in groups] == [[(0, "Conform"), (1, "Lambda.Invoke")], [(0, "Conform")]]


def test_invocation_in_a_trace_of_its_own_is_shown_by_its_link(record, writer):
    one = writer()
    traces = [
        one.span("Conform", "2", 10, 50, trace=OTHER, faas__coldstart=True, faas__invocation_id="a"),
        one.span("preprocess_file", "3", 20, 40, "1", links=[(OTHER, "2")]),
        one.span("load_file", "4", 25, 30, "3"),
    ]
    trace = read_trace(record(traces=traces), TRACE)
    (group,) = trace.groups
    assert names(group) == [(0, "Conform"), (1, "preprocess_file"), (2, "load_file")]
    assert [row.is_other_trace for row in group.rows] == [True, False, False]
    assert group.is_cold
    assert [span.name for span in trace.spans] == ["preprocess_file", "load_file"]


def test_trace_of_spans_that_have_not_ended_can_be_read(record, writer):
    traces = [writer().span("Conform", "2", 10, None, faas__invocation_id="a")]
    trace = read_trace(record(traces=traces), TRACE)
    assert (trace.seconds, trace.verdict) == (0.0, "not ended")


def test_trace_of_nothing_but_an_init_can_be_read(record, writer):
    traces = [writer().span("init Conform", "1", 0, 5, aws__lambda__initialization_type="on-demand")]
    assert read_trace(record(traces=traces), TRACE).seconds == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("attributes", "error", "verdict"),
    [
        ({"neuro__qc__verdict": "warn", "stage": "report", "outcome": "ok"}, "", "warn"),
        ({"stage": "report", "outcome": "ok"}, "", "done"),
        ({"stage": "conform", "outcome": "ok"}, "", "not ended"),
        ({"stage": "conform", "outcome": "rejected"}, "EMPTY", "refused"),
        ({"stage": "conform", "outcome": "failed"}, "TimeoutError", "failed"),
    ],
)
def test_verdict(record, writer, attributes, error, verdict):
    traces = [writer().span("preprocess_file", "1", 0, 5, error=error, **attributes)]
    assert read_trace(record(traces=traces), TRACE).verdict == verdict


@pytest.mark.parametrize("word", [TRACE, RUN, "sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"])
def test_trace_is_found_by_what_people_call_a_scan(record, scan, word):
    assert find_traces(record(**scan), [word]) == [TRACE]


@pytest.mark.parametrize("word", ["", "sub-02_T1w.nii.gz", "sub-01"])
def test_trace_is_not_found_by_other_words(record, scan, word):
    assert find_traces(record(**scan), [word]) == []


def test_newest_of_several_traces_is_first(record, writer):
    name = {"file__name": "x.nii"}
    traces = [
        writer().span("preprocess_file", "1", 0, 5, **name),
        writer().span("preprocess_file", "2", 9, 12, trace=OTHER, **name),
        writer().span("unrelated", "3", 20, 30, trace="e" * 32),
    ]
    recording = record(traces=traces)
    assert find_traces(recording, ["x.nii"]) == scan_traces(recording) == [OTHER, TRACE]
