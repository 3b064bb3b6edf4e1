import pytest

from neuro_cli.dataset import find_scans, gather_scans, local_scan
from neuro_cli.errors import CliError


def keys(found):
    return [scan.key for scan in found.scans]


def test_key_in_a_dataset_is_the_path_in_it(dataset):
    path = dataset / "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"
    assert local_scan(path).key == "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"


def test_key_of_a_lone_file_is_its_name(scan_file):
    assert local_scan(scan_file).key == "sub-01_T1w.nii.gz"


def test_key_below_a_subject_folder_needs_no_description(tmp_path):
    assert local_scan(tmp_path / "x/sub-01/anat/scan.nii").key == "sub-01/anat/scan.nii"


def test_key_does_not_depend_on_the_working_directory(dataset, monkeypatch):
    monkeypatch.chdir(dataset / "sub-01")
    scan = local_scan(dataset.__class__("anat/sub-01_T1w.nii.gz"))
    assert scan.key == "sub-01/anat/sub-01_T1w.nii.gz"
    assert scan.path.is_absolute()


def test_find_scans_takes_structural_scans_of_a_dataset(dataset):
    found = find_scans(dataset)
    assert keys(found) == ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"]
    assert found.others == 1


def test_find_scans_in_a_part_of_a_dataset_keeps_the_whole_key(dataset):
    assert keys(find_scans(dataset / "sub-02")) == ["sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"]


def test_find_scans_needs_no_description_to_know_a_dataset(dataset):
    (dataset / "dataset_description.json").unlink()
    assert len(find_scans(dataset).scans) == 2
    assert keys(find_scans(dataset / "sub-01")) == ["sub-01/anat/sub-01_T1w.nii.gz"]


def test_find_scans_of_any_folder_takes_all_that_match(tmp_path):
    for name in ("b scan.nii", "a/UPPER.NII.GZ", "a/notes.txt", ".hidden.nii", "a/.git/x.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert keys(find_scans(tmp_path)) == ["a/UPPER.NII.GZ", "b scan.nii"]
    assert keys(find_scans(tmp_path, "b*")) == ["b scan.nii"]


def test_find_scans_of_an_empty_folder_finds_none(tmp_path):
    assert find_scans(tmp_path).scans == ()


def test_find_scans_tells_which_folder_cannot_be_read(tmp_path):
    (tmp_path / "loop").symlink_to("loop")  # not even root can follow it
    with pytest.raises(CliError, match=r"loop` cannot be read: too many levels of symbolic links"):
        find_scans(tmp_path / "loop")


def test_find_scans_tells_of_a_folder_that_is_gone(tmp_path):
    with pytest.raises(CliError, match=r"gone` cannot be read: no such file"):
        find_scans(tmp_path / "gone")


def test_find_scans_leaves_out_what_was_written_into_the_folder_and_counts_it(tmp_path):
    for name in ("sub-01_T1w.nii", "sub-01_desc-brain_T1w.nii.gz", "out/sub-01/anat/sub-01_desc-brain_mask.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    into_itself = find_scans(tmp_path, output=tmp_path)
    assert (keys(into_itself), into_itself.results) == (["sub-01_T1w.nii"], 2)
    into_a_part = find_scans(tmp_path, output=tmp_path / "out")
    assert keys(into_a_part) == ["sub-01_T1w.nii", "sub-01_desc-brain_T1w.nii.gz"]
    assert into_a_part.results == 1


def test_find_scans_knows_its_output_by_another_way(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x_desc-brain_T1w.nii").touch()
    (tmp_path / "link").symlink_to("in")
    assert find_scans(tmp_path / "in", output=tmp_path / "link").results == 1


def test_find_scans_leaves_nothing_out_that_lies_elsewhere(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x_desc-mine_T1w.nii").touch()
    found = find_scans(tmp_path / "in", output=tmp_path / "out")
    assert (keys(found), found.results) == (["x_desc-mine_T1w.nii"], 0)
    assert len(find_scans(tmp_path / "in").scans) == 1


def test_gather_scans_takes_a_named_file_whatever_it_is_and_each_file_once(dataset, tmp_path):
    (tmp_path / "notes.txt").touch()
    found = gather_scans([tmp_path / "notes.txt", dataset, dataset / "sub-01/anat/sub-01_T1w.nii.gz"])
    assert keys(found) == [
        "notes.txt",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
    ]
