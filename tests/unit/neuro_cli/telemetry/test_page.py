import re
from html.parser import HTMLParser

import pytest

from neuro_cli.telemetry.cost import Cost, ProcessCpu
from neuro_cli.telemetry.page import render_page
from neuro_cli.telemetry.scan_trace import read_trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
VOID = {"meta", "br", "img", "link"}
COST = Cost(ProcessCpu(functions_s=9.0, extension_start_s=0.2, extension_s=0.8), layer_init_s=1.0, layer_s=0.1)


class Page(HTMLParser):
    """Reads a page, and complains of elements that are not closed where they should be."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.tags, self.texts, self.links = [], [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def classes(self, name):
        return [attrs for _, attrs in self.tags if name in attrs.get("class", "").split()]


@pytest.fixture
def render(record, scan, writer, make):
    def render(*, cost=COST, traces=(), logs=(), metrics=(), **options):
        recording = record(traces=[*scan["traces"], *traces], logs=[*scan["logs"], *logs], metrics=metrics)
        return render_page(read_trace(recording, TRACE), recording, cost, **options)

    return render


def test_page_is_well_formed_and_needs_nothing_else(render):
    html = render()
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>\n")
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html


def test_every_section_is_named_for_a_screen_reader(render):
    page = Page(render())
    sections = [attrs for tag, attrs in page.tags if tag == "section"]
    assert all(attrs.get("aria-label") or attrs["aria-labelledby"] in page.ids for attrs in sections)
    assert [tag for tag, _ in page.tags if tag in ("main", "h1")] == ["h1", "main"]


def test_head_tells_the_scan_and_how_it_went(render):
    text = Page(render()).text
    assert "sub-01_T1w.nii.gz refused" in text
    assert "from upload to end 1.00 s" in text
    assert "functions 2" in text
    assert "cold starts 1" in text
    assert "with errors 1" in text
    assert f"trace {TRACE} · run 74c3cbc1baa133bdf383687e" in text


def test_trace_that_begins_after_the_upload_does_not_claim_it(record, writer):
    recording = record(traces=[writer().span("Conform", "1", 0, 9, faas__invocation_id="r")])
    text = Page(render_page(read_trace(recording, TRACE), recording, None)).text
    assert "from begin to end 9.00 ms" in text


def test_bars_stand_where_their_spans_were(render):
    html = render()
    spans = html.partition('<h2 id="trace">')[2]
    bars = re.findall(r'<span class="name">([^<]+)</span>.*?<i[^>]* style="left:([\d.]+)%;width:([\d.]+)%">', spans)
    places = {name: (float(left), float(width)) for name, left, width in bars}
    assert places["Conform"] == (34.0, 26.0)
    assert places["Conform: init"] == (3.0, 30.0)
    assert places["write_output"] == (50.0, 8.0)


def test_overview_has_a_line_for_each_process(render):
    overview = render().partition('<h2 id="functions">')[2].partition("</section>")[0]
    lines = re.findall(r'<a class="row first" href="#(group-\d)">.*?<span class="name">(\w+)</span>(.*?)</a>', overview)
    assert [line[:2] for line in lines] == [
        ("group-1", "upload_file"),
        ("group-2", "Conform"),
        ("group-3", "SkullStrip"),
    ]
    places = re.findall(r'<i(?: class=(\w+))? style="left:([\d.]+)%;width:([\d.]+)%">', lines[1][2])
    assert places == [("wait", "2.000", "1.000"), ("init", "3.000", "30.000"), ("", "34.000", "26.000")]


def test_cold_start_error_and_waiting_are_marked(render):
    page = Page(render())
    assert len(page.classes("cold")) == 2  # in the overview and in the trace
    assert [tag for tag, attrs in page.tags if attrs.get("class") == "init"] == ["i", "li", "i"]  # and in the legend
    assert [tag for tag, attrs in page.tags if attrs.get("class") == "wait"] == ["i", "i", "li", "i", "i"]
    assert "SkullStrip" in page.text
    assert "NO_BRAIN" in page.text


def test_what_comes_from_outside_is_escaped(render, writer, make):
    evil = "<script>alert(1)</script>"
    one = writer(evil)
    html = render(
        traces=[one.span(evil, "99", 0, 5, "1", kind=3, aws__s3__key=f"a/{evil}", error=evil)],
        logs=[one.log(evil, 5, evil), one.log(f'{{"message":"{evil}","x":"{evil}"}}', 6)],
        metrics=[one.metrics(make["total"](evil, 1, unit=evil, x=evil))],
        report_link='"><script>',
    )
    assert "<script" not in html
    Page(html)


def test_scan_s_name_and_run_are_escaped(record, writer):
    evil = "<script>"
    traces = [
        writer().span("preprocess_file", "1", 0, 5, file__name=evil, neuro__run__id=evil, neuro__qc__verdict=evil)
    ]
    html = render_page(read_trace(record(traces=traces), TRACE), record(), None)
    assert "<script" not in html
    assert "<script>" in Page(html).text


def test_logs_have_their_offset_level_function_and_fields(render):
    text = Page(render()).text
    assert "351 ms INFO Conform Processing file voxels=7" in text
    assert "980 ms WARN SkullStrip File failed <validation>" in text


def test_log_line_that_is_no_json_stands_as_it_is(render, writer):
    text = Page(render(logs=[writer().log("[1, 2]", 400), writer().log("plain", 401, reason="why")])).text
    assert "400 ms INFO Conform [1, 2]" in text
    assert "401 ms INFO Conform plain reason=why" in text


def test_metrics_have_their_totals(render, writer, make):
    body = writer().metrics(
        make["total"]("neuro.files.processed", 2, unit="{file}", modality="T1w"),
        make["histogram"]("neuro.pipeline.duration", [0, 4], [1.0], 8.0, unit="s", limits=(2.0, 2.0)),
        make["histogram"]("neuro.file.size", [1, 0], [1e9], 3.5e6, unit="By", limits=(3.5e6, 3.5e6)),
        make["gauge"]("neuro.qc.brain.volume", 1306.7, unit="mL"),
        make["gauge"]("neuro.qc.snr", float("nan")),
        make["gauge"]("neuro.drift", -0.25, unit="s"),
        make["total"]("lambda_collector.items", 5, signal="traces", outcome="accepted"),
        make["total"]("lambda_collector.items", 5, signal="traces", outcome="sent"),
    )
    text = Page(render(metrics=[body])).text
    assert "neuro.files.processed modality=T1w 2" in text
    assert "neuro.pipeline.duration 8.00 s 4 2.00 s 2.00 s" in text
    assert "neuro.file.size 3.5 MB 1 3.5 MB 3.5 MB" in text
    assert "neuro.qc.brain.volume function=Conform 1,307 mL" in text
    assert "neuro.qc.snr function=Conform not defined" in text
    assert "neuro.drift function=Conform -250 ms" in text
    # what was accepted and what was sent are not to be added
    assert "function=Conform, outcome=accepted, signal=traces 5" in text
    assert " 10 " not in text.partition("lambda_collector.items")[2]


def test_pipeline_s_metrics_are_added_over_the_functions(render, writer, make):
    bodies = [writer(name).metrics(make["total"]("neuro.stages.executed", 1, outcome="ok")) for name in ("A", "B")]
    assert "neuro.stages.executed outcome=ok 2" in Page(render(metrics=bodies)).text


def test_cost_is_told_with_and_without_cold_starts(render):
    text = Page(render()).text
    assert "telemetry took 10.23 % ." in text  # 0.9 s of 8.8 s
    assert "it is 21.00 % of 10.0 s" in text
    assert "Collector extension 800 ms 9.09 % 200 ms" in text


def test_cost_of_an_extension_that_does_not_run_is_left_out(render):
    cost = Cost(ProcessCpu(10.0, 0.0, 0.0), layer_init_s=0.1, layer_s=0.1)
    assert "Collector extension" not in Page(render(cost=cost)).text


def test_cost_of_processes_that_were_not_seen_is_no_fault(render):
    cost = Cost(ProcessCpu(0.0, 0.0, 0.0), layer_init_s=0.1, layer_s=0.1)
    assert "telemetry took 0.00 % ." in Page(render(cost=cost)).text


@pytest.mark.parametrize("cost", [None, Cost(ProcessCpu(10.0, 0.0, 0.0), None, None)])
def test_cost_that_was_not_measured_is_not_made_up(render, cost):
    assert "It was not measured in this session." in Page(render(cost=cost)).text


def test_link_to_the_quality_report(render):
    assert Page(render(report_link="a%20b.html")).links[0] == "a%20b.html"


def test_trace_without_logs_and_metrics_says_so(record, writer):
    recording = record(traces=[writer().span("x", "1", 5, 5)])
    text = Page(render_page(read_trace(recording, TRACE), recording, None)).text
    assert "None in this trace." in text
    assert "None were received." in text


def test_span_that_has_not_ended_says_so(render, writer):
    assert "not ended" in Page(render(traces=[writer().span("open", "99", 500, None, "4")])).text
