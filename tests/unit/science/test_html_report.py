import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from neuro_preprocess.image import Notice
from neuro_preprocess.quality import QualityMeasures, TissueSummary
from neuro_preprocess.quality.measure_table import MEASURES
from neuro_preprocess.quality.verdict import Reason, Verdict
from neuro_preprocess.report.html import render_report
from neuro_preprocess.skull_strip import SelfCheck

MEASURED = QualityMeasures(*[1.25] * 24, brain_volume_ml=1737.0, wm_cv_before=0.065, wm_cv_after=0.051,
                           clipped_voxels=1234, summary={"wm": TissueSummary(1, 1, 1, 1, 1, 1, 5)})  # fmt: skip
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Tags, attributes and text of a page whose every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.texts, self.rows = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def render(**changes):
    options = {
        "title": "sub-01_ses-2",
        "verdict": Verdict("warn", (Reason("warn", "LOW_SNR", "snr_wm should be at least 9", 5.0),)),
        "measures": MEASURED,
        "checks": [SelfCheck("volume_ml", 1737, 900, 2000), SelfCheck("ring_ratio", 1.1, 1.3, math.inf)],
        "notices": [Notice("SHEARED", "the axes are not at right angles")],
        "stage_seconds": {"conform": 0.25, "skull_strip": 2.0},
        "provenance": {"numpy": "2.4.6"},
        "picture": b"\x89PNG picture",
    }
    return render_report(**(options | changes))


def row(page, heading):
    (found,) = [cells for cells in page.rows if cells and cells[0] == heading]
    return found


def test_report_shows_what_it_is_given():
    page = Page(render())

    assert row(page, "volume, mL") == ["volume, mL", "1,737", "from 900 to 2000", "passed"]
    assert row(page, "ring ratio") == ["ring ratio", "1.1", "at least 1.3", "not passed"]
    assert row(page, "skull strip") == ["skull strip", "2.00"]
    assert row(page, "all") == ["all", "2.25"]
    assert row(page, "SHEARED") == ["SHEARED", "the axes are not at right angles"]
    assert row(page, "numpy") == ["numpy", "2.4.6"]
    assert row(page, "Brain volume")[:3] == ["Brain volume", "1,737", "mL"]
    assert row(page, "Clipped voxels")[1] == "1,234"
    text = "".join(page.texts)
    assert "sub-01_ses-2 T1w" in text
    assert "not a medical device" in text
    assert "LOW_SNR" in text


def test_report_has_a_row_for_every_measure():
    page = Page(render())

    for measure in MEASURES:
        assert row(page, measure.title)[4] == measure.meaning


@pytest.mark.parametrize("status", ["pass", "warn", "fail"])
def test_report_names_the_verdict(status):
    html = render(verdict=Verdict(status, ()))

    assert f'<span class="badge {status}">{status}</span>' in html
    assert "Reasons" not in html


def test_report_marks_a_measure_outside_its_range():
    html = render(measures=replace(MEASURED, snr_wm=5.5, cjv=math.nan))

    assert '<td class="number warn-text">5.5</td>' in html
    assert row(Page(html), "SNR, WM")[3] == "at least 9"
    assert row(Page(html), "CJV")[1] == "not defined"


def test_report_of_a_t2w_scan_knows_no_range_for_tissues():
    assert row(Page(render(contrast="T2w")), "SNR, WM")[3] == ""


def test_report_asks_for_nothing_from_elsewhere():
    html = render()

    assert not re.search(r"https?:|//\w|@import|url\(|<script|<link|javascript:", html, re.IGNORECASE)
    sources = [value for _, name, value in Page(html).attributes if name in ("src", "href")]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")


def test_report_embeds_the_picture_or_links_to_it():
    embedded = re.search(r'src="data:image/png;base64,([^"]+)"', render()).group(1)

    assert base64.b64decode(embedded) == b"\x89PNG picture"
    assert ("img", "src", "a&b.png") in Page(render(picture="a&b.png")).attributes


def test_report_escapes_every_text():
    evil = "<script>alert('x')</script>\"&"
    html = render(
        title=evil,
        verdict=Verdict("fail", (Reason("fail", evil, evil),)),
        checks=[SelfCheck(evil, 1, -math.inf, math.inf)],
        notices=[Notice(evil, evil)],
        stage_seconds={evil: 1},
        provenance={evil: evil},
        picture=evil,
    )

    assert "<script" not in html
    text = "".join(Page(html).texts)
    assert text.count(evil) == 10  # title, heading, reason twice, check, notice twice, stage, provenance twice


def test_report_of_nothing_says_so():
    html = render(checks=[], notices=[], stage_seconds={}, provenance={})

    assert html.count('<p class="quiet">None.</p>') == 4
    Page(html)
