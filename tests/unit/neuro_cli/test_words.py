import pytest

from neuro_cli.terminal.words import counted, of_bytes, of_seconds, product, scan_name


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (8_912_402, "8.91 MB"),
        (999_700, "1 MB"),
        (24_400_000_000, "24.4 GB"),
        (5 * 10**15, "5e+03 TB"),
    ],
)
def test_of_bytes_has_three_digits(size_bytes, text):
    assert of_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 min 0 s"), (125.2, "2 min 5 s")]
)
def test_of_seconds_turns_to_minutes(seconds, text):
    assert of_seconds(seconds) == text


def test_product_joins_sizes():
    assert product((256, 0.9375, 1.0)) == "256 x 0.9375 x 1"


def test_counted_has_a_plural():
    assert [counted(number, "scan") for number in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01_T1w"),
        ("UPPER.NII", "UPPER"),
        ("a/my scan", "my scan"),
        ("x.gz", "x"),
        ("", ""),
    ],
)
def test_scan_name_is_the_file_s_stem(key, name):
    assert scan_name(key) == name
