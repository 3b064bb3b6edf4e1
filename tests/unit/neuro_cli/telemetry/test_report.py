"""`neuro-preprocess report`, and the page's place beside the quality report."""

import pytest

from neuro_cli.project import Project
from neuro_cli.telemetry.scan_page import find_scan, write_page
from neuro_cli.telemetry.session import read_session, sessions_folder

TRACE = "0af7651916cd43dd8448eb211c80319c"
RUN = "74c3cbc1baa133bdf383687e"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "template.yaml").touch()
    return Project(tmp_path)


@pytest.fixture
def session(project, record, scan):
    folder = sessions_folder(project) / "20260101T000000Z-7"
    record(**scan, folder=folder)
    return folder


@pytest.mark.parametrize(
    "word",
    [
        "sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "s3://raw/sub-01/anat/sub-01_T1w.nii.gz",
        RUN,
        TRACE.upper(),
    ],
)
def test_report_writes_the_page(run, project, session, tmp_path, word):
    answer = run("report", word, "--project", project.root, "-o", tmp_path / "page.html")
    assert (answer.exit_code, answer.out) == (0, f"{tmp_path / 'page.html'}\n")
    assert TRACE in (tmp_path / "page.html").read_text()


def test_report_has_a_place_of_its_own(run, project, session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("report", RUN, "--project", project.root).out == "out/traces/sub-01_T1w.html\n"
    assert (tmp_path / "out/traces/sub-01_T1w.html").is_file()


def test_report_finds_a_scan_whose_name_is_hidden_by_a_hash(run, project, record, writer, tmp_path):
    from pipeline.keys import telemetry_key

    name = {"file__name": telemetry_key("my scan.nii.gz"), "file__path": telemetry_key("my scan.nii.gz")}
    traces = [writer().span("preprocess_file", "1", 0, 5, **name)]
    record(traces=traces, folder=sessions_folder(project) / "20260101T000000Z-7")
    answer = run("report", "my scan.nii.gz", "--project", project.root, "-o", tmp_path / "page.html")
    assert answer.exit_code == 0, answer.err


def test_report_of_an_unknown_scan_names_the_known_ones(run, project, session):
    answer = run("report", "sub-02_T1w.nii.gz", "--project", project.root)
    assert answer.exit_code == 1
    assert "`sub-02_T1w.nii.gz` names none of them" in answer.err
    assert "hint: there is sub-01_T1w.nii.gz" in answer.err


def test_report_without_any_recording_says_how_to_make_one(run, project):
    answer = run("report", "x", "--project", project.root)
    assert answer.exit_code == 1
    assert "no telemetry of any scan has been recorded here" in answer.err
    assert "neuro-preprocess local up" in answer.err


def test_newest_session_counts(project, session, record, scan):
    newer = sessions_folder(project) / "20260102T000000Z-7"
    record(**scan, folder=newer)
    recorded, trace_id = find_scan(sessions_folder(project), RUN)
    assert (recorded.folder, trace_id) == (newer, TRACE)


def test_page_and_quality_report_link_to_each_other_once(session, tmp_path):
    report, page = tmp_path / "out dir/figures/qc.html", tmp_path / "out dir/traces/trace.html"
    report.parent.mkdir(parents=True)
    report.write_text("<!DOCTYPE html>\n<html><body>\n<p>quality</p>\n</body>\n</html>\n")
    for _ in range(2):
        write_page(read_session(session), TRACE, page, report)
    assert 'href="../figures/qc.html"' in page.read_text()
    assert report.read_text().count('<a href="../traces/trace.html">') == 1
    assert report.read_text().endswith("</section>\n</body>\n</html>\n")
