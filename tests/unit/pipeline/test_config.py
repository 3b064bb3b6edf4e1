import dataclasses
from pathlib import Path

import pytest

from pipeline.config import SETTINGS, Settings
from pipeline.errors import ConfigError

NEEDED = {"NEURO_WORK_BUCKET": "w", "NEURO_DERIVATIVES_BUCKET": "d"}


def test_settings_have_a_field_for_every_row_of_the_table():
    assert {setting.field for setting in SETTINGS} == {field.name for field in dataclasses.fields(Settings)}


def test_settings_have_defaults_for_all_but_the_buckets():
    settings = Settings.from_env(NEEDED)

    assert settings.voxel_size_mm == 1.0
    assert settings.normalization == "zscore"
    assert settings.write_head is False
    assert settings.max_object_bytes == 512 * 2**20


def test_settings_read_what_is_set():
    settings = Settings.from_env(NEEDED | {"NEURO_VOXEL_SIZE_MM": "0.8", "NEURO_WRITE_HEAD": "True"})

    assert (settings.voxel_size_mm, settings.write_head) == (0.8, True)


def test_settings_take_an_empty_variable_for_an_unset_one():
    assert Settings.from_env(NEEDED | {"NEURO_NORMALIZATION": ""}).normalization == "zscore"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NEURO_VOXEL_SIZE_MM", "0"),
        ("NEURO_VOXEL_SIZE_MM", "nan"),
        ("NEURO_VOXEL_SIZE_MM", "one"),
        ("NEURO_BRAIN_FRACTION", "1"),
        ("NEURO_NORMALIZATION", "z"),
        ("NEURO_WRITE_HEAD", "yes"),
        ("NEURO_MAX_OBJECT_BYTES", "1e6"),
        ("NEURO_MAX_VOLUME_BYTES", "-1"),
    ],
)
def test_settings_refuse_a_wrong_value_by_name(name, text):
    with pytest.raises(ConfigError, match=f"`{name}` is `{text}`"):
        Settings.from_env(NEEDED | {name: text})


def test_settings_name_all_faults_at_once():
    with pytest.raises(ConfigError) as raised:
        Settings.from_env({"NEURO_WRITE_HEAD": "perhaps"})

    assert all(name in str(raised.value) for name in (*NEEDED, "NEURO_WRITE_HEAD"))


def test_readme_lists_every_setting_with_its_default():
    readme = (Path(__file__).parent.parent.parent.parent / "README.md").read_text()
    for setting in SETTINGS:
        row = f"| `{setting.name}` | {setting.default or ''} |".replace("|  |", "| |")
        assert row in readme, f"README.md lacks the row {row}"
