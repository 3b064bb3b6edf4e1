import doctest
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro_preprocess import bids
from neuro_preprocess.bids import BidsName, derivative_path, figure_path, is_companion

FULL = "sub-02/ses-2/anat/sub-02_ses-2_task-rest_acq-hi_ce-gad_rec-norm_run-01_echo-1_part-mag_chunk-3_T2w.nii.gz"


def digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def brain_path(key: str) -> str:
    name = BidsName.parse(key)
    return derivative_path(name, "brain", name.contrast, ".nii.gz")


def test_docstrings_are_true():
    assert doctest.testmod(bids).failed == 0


def test_parse_reads_every_entity_in_bids_order():
    name = BidsName.parse(FULL)

    assert name.entities == (
        ("sub", "02"),
        ("ses", "2"),
        ("task", "rest"),
        ("acq", "hi"),
        ("ce", "gad"),
        ("rec", "norm"),
        ("run", "01"),
        ("echo", "1"),
        ("part", "mag"),
        ("chunk", "3"),
    )
    assert (name.contrast, name.extension, name.is_valid) == ("T2w", ".nii.gz", True)
    assert (name["run"], name["ce"]) == ("01", "gad")
    assert BidsName.parse("sub-1_T1w.nii")["ses"] is None


@pytest.mark.parametrize(
    "key",
    [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",
        "sub-01_T1w.nii.gz",
        "sub-01_T1w.nii",
        "sub-01_T1w.NII.GZ",
        "sub-a+b_T1w.nii.gz",
        FULL,
    ],
)
def test_parse_accepts_bids(key):
    assert BidsName.parse(key).is_valid


@pytest.mark.parametrize(
    "key",
    [
        "",
        "scan 1.nii.gz",
        "sub-01.nii.gz",
        "sub-_T1w.nii.gz",
        "sub-0 1_T1w.nii.gz",
        "sub-01_T1W.nii.gz",
        "Sub-01_T1w.nii.gz",
        "sub-01_T1w.nii.gz\n",
        "sub-01_T1w.mgz",
        "sub-01_T1w",
        "sub-01_bold.nii.gz",
        "sub-01_run-1_acq-hi_T1w.nii.gz",
        "sub-01_run-a_T1w.nii.gz",
        "sub-01_part-imaginary_T1w.nii.gz",
        "sub-01_desc-brain_T1w.nii.gz",
        "sub-01_ses-1_ses-2_T1w.nii.gz",
        "ses-1_T1w.nii.gz",
        "sub-é_T1w.nii.gz",
        "sub-٣_run-٣_T1w.nii.gz",
        "sub-02/anat/sub-01_T1w.nii.gz",
        "sub-01/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_ses-1_T1w.nii.gz",
        "siteB/sub-01/anat/sub-01_T1w.nii.gz",
        "/sub-01/anat/sub-01_T1w.nii.gz",
        "/sub-01_T1w.nii.gz",
        "xsub-01/anat/sub-01_T1w.nii.gz",
    ],
)
def test_parse_knows_what_is_not_bids(key):
    name = BidsName.parse(key)

    assert not name.is_valid
    assert brain_path(key).startswith("sub-")


@pytest.mark.parametrize(
    ("key", "contrast", "extension"),
    [
        ("scan_T2w.nii.gz", "T2w", ".nii.gz"),
        ("a/T2W.NII.GZ", "T2w", ".nii.gz"),
        ("head t2w.nii", "T2w", ".nii"),
        ("scanT2w.nii", "T1w", ".nii"),
        ("T2w/scan.nii.gz", "T1w", ".nii.gz"),
        ("t2w_scan", "T1w", ""),
        ("sub-01_FLAIR.nii.gz", "T1w", ".nii.gz"),
    ],
)
def test_parse_takes_the_contrast_from_the_end_of_any_name(key, contrast, extension):
    name = BidsName.parse(key)

    assert (name.contrast, name.extension) == (contrast, extension)


def test_a_name_that_is_not_bids_leaves_only_a_hash():
    name = BidsName.parse("Jane Doe/Jane Doe 1970.nii.gz")

    assert name.stem == f"sub-x{digits('Jane Doe/Jane Doe 1970.nii.gz')}"
    assert "Jane" not in brain_path(name.key)


def test_another_datasets_subject_is_another_subject():
    assert brain_path("siteB/sub-01/anat/sub-01_T1w.nii.gz") == (
        f"sub-01x{digits('siteB/')}/anat/sub-01x{digits('siteB/')}_desc-brain_T1w.nii.gz"
    )
    first, second = (BidsName.parse(f"siteB/sub-01/anat/sub-01_run-{run}_T1w.nii.gz") for run in (1, 2))
    assert first["sub"] == second["sub"]


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ("sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
        ("sub-01_T1w.nii", "sub-01_T1w.nii.gz"),
        ("sub-01_T1w.NII.GZ", "sub-01_T1w.nii.gz"),
        ("a/sub-01_T1w.nii.gz", "a/sub-01/anat/sub-01_T1w.nii.gz"),
    ],
)
def test_spellings_of_one_scan_share_its_derivatives(key, same):
    assert brain_path(key) == brain_path(same)


@pytest.mark.parametrize("key", ["siteB/sub-01/anat/sub-01_T1w.nii.gz", "scan 1.nii.gz"])
def test_a_label_made_to_look_like_a_given_one_is_marked_again(key):
    given = BidsName.parse(key)["sub"]
    forged = f"sub-{given}/anat/sub-{given}_T1w.nii.gz"

    assert BidsName.parse(forged).is_valid
    assert BidsName.parse(forged)["sub"] == f"{given}x{digits('')}"
    assert brain_path(forged) != brain_path(key)


labels = st.sampled_from(["01", "x", "a" * 3, "01x" + "0" * 12, "x" + digits("a/"), "01x" + digits("a/")])
names = st.builds(
    "{0}sub-{1}{2}_T1w.nii.gz".format,
    st.sampled_from(["", "/", "a/", "b/", "a/b/", "sub-01/anat/", "a/sub-01/anat/", "a/sub-x/anat/"]),
    labels,
    st.sampled_from(["", "_run-1", "_acq-x"]),
)


def identity(key: str) -> str:
    """The key with the spellings that are known to be one scan brought to one."""
    folder, _, file_name = key.rpartition("/")
    own = f"{file_name.split('_')[0]}/anat"
    is_own = key.startswith(own + "/") or folder.endswith("/" + own)
    return (key[: len(folder) - len(own)] if is_own else key[: len(key) - len(file_name)]) + file_name


@given(st.lists(st.one_of(names, st.text(max_size=12)), min_size=2, max_size=30))
def test_different_scans_never_share_derivatives(keys):
    paths = {}
    for key in keys:
        paths.setdefault(brain_path(key), set()).add(identity(key))

    assert all(len(scans) == 1 for scans in paths.values())


def test_derivatives_of_two_contrasts_do_not_collide():
    masks = {derivative_path(BidsName.parse(f"sub-01_{c}.nii"), "brain", "mask", ".nii.gz") for c in ("T1w", "T2w")}

    assert masks == {"sub-01/anat/sub-01_desc-brain_mask.nii.gz", "sub-01/anat/sub-01_desc-brainT2w_mask.nii.gz"}


def test_derivative_path_puts_entities_in_bids_order():
    name = BidsName.parse("sub-01_ses-2_chunk-3_T1w.nii.gz")

    path = derivative_path(name, "brain", "T1w", ".json", res="1")

    assert path == "sub-01/ses-2/anat/sub-01_ses-2_chunk-3_res-1_desc-brain_T1w.json"


def test_figure_path_is_below_the_subject():
    name = BidsName.parse("sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz")

    assert figure_path(name, ".png") == "sub-01/figures/sub-01_ses-2_desc-qc_T2w.png"


@pytest.mark.parametrize(
    "key",
    [
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_T1w.JSON",
        "participants.tsv",
        "sub-01/func/sub-01_task-rest_physio.tsv.gz",
        "dataset_description.json",
        "sub-01/dwi/sub-01_dwi.bval",
        "sub-01/dwi/sub-01_dwi.bvec",
        "README",
        "README.md",
        "a/CHANGES",
        "CITATION.cff",
        ".bidsignore",
        "sub-01/anat/._sub-01_T1w.nii.gz",
        ".git/objects/ab",
        "sub-01/anat/",
        "",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sourcedata/scan.dcm",
    ],
)
def test_is_companion_leaves_what_is_no_scan(key):
    assert is_companion(key)


@pytest.mark.parametrize(
    "key",
    [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01_T1w.NII.GZ",
        "scan",
        "holiday.jpg",
        "README.nii.gz",
        "json",
        "scan.dcm",
        "code.nii.gz",
        "a/derivatives/scan.nii.gz",
        "READMEs",
    ],
)
def test_is_companion_takes_anything_else_for_a_scan(key):
    assert not is_companion(key)


@pytest.mark.parametrize(
    ("key", "codes"),
    [
        ("sub-01_T1w.nii.gz", []),
        ("scan 1.nii.gz", []),
        ("sub-01_part-mag_T1w.nii.gz", []),
        ("sub-01_FLAIR.nii.gz", ["OTHER_SUFFIX"]),
        ("sub-01_task-rest_bold.NII.GZ", ["OTHER_SUFFIX"]),
        ("sub-01_part-phase_T1w.nii.gz", ["NOT_MAGNITUDE"]),
    ],
)
def test_notices_say_what_is_odd_about_a_name(key, codes):
    assert [notice.code for notice in BidsName.parse(key).notices] == codes


def test_name_too_long_for_derived_keys_is_not_taken_as_bids():
    name = BidsName.parse(f"sub-{'a' * 300}_T1w.nii.gz")

    assert not name.is_valid
    assert len(name["sub"]) < 20


def test_path_with_dots_is_a_scan_and_not_hidden():
    assert not is_companion("a/../sub-01_T1w.nii.gz")
    assert is_companion("a/.hidden/sub-01_T1w.nii.gz")
