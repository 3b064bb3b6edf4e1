"""Every setting of the functions, in one table. Only this module reads the environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.errors import ConfigError

MIB = 2**20


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected `true` or `false`")
    return text.lower() == "true"


def _number(text: str, below: float, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number < below:
        raise ValueError(f"expected {expected}")
    return number


def _positive(text: str) -> float:
    return _number(text, float("inf"), "a number above 0")


def _fraction(text: str) -> float:
    return _number(text, 1, "a number between 0 and 1")


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError("expected a whole number above 0")
    return int(text)


def _method(text: str) -> str:
    if text not in ("zscore", "white-matter"):
        raise ValueError("expected `zscore` or `white-matter`")
    return text


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes
    ----------
    name : str
    parse : callable
        Text to value; raises ValueError with what was expected.
    default : str or None
        None: the variable must be set.
    unit : str
    help : str
    """

    name: str
    parse: Callable[[str], Any]
    default: str | None
    unit: str
    help: str

    @property
    def field(self) -> str:
        """Name of the attribute of `Settings` that holds the value."""
        return self.name.removeprefix("NEURO_").removeprefix("AWS_LAMBDA_FUNCTION_").lower()


SETTINGS = (
    Setting("NEURO_WORK_BUCKET", str, None, "", "Bucket for what one stage hands to the next"),
    Setting("NEURO_DERIVATIVES_BUCKET", str, None, "", "Bucket for the BIDS derivatives, the QC and the error files"),
    Setting("NEURO_VOXEL_SIZE_MM", _positive, "1.0", "mm", "Voxel size of the conformed volume"),
    Setting(
        "NEURO_BRAIN_FRACTION", _fraction, "0.5", "", "BET's fractional intensity threshold: smaller, larger brain"
    ),
    Setting("NEURO_NORMALIZATION", _method, "zscore", "", "`zscore` in the brain, or `white-matter`: its median is 1"),
    Setting("NEURO_WRITE_HEAD", _flag, "false", "", "Also write `desc-preproc`, the whole head: it shows a face"),
    Setting("NEURO_MAX_OBJECT_BYTES", _whole, str(512 * MIB), "bytes", "A larger upload is refused unread"),
    Setting("NEURO_MAX_VOLUME_BYTES", _whole, str(1024 * MIB), "bytes", "A larger volume is refused by its header"),
    Setting("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", _whole, "2048", "MB", "Set by Lambda; what a volume's size is held to"),
)


@dataclass(frozen=True)
class Settings:
    """The values of `SETTINGS`; units are in the names or in the table."""

    work_bucket: str
    derivatives_bucket: str
    voxel_size_mm: float
    brain_fraction: float
    normalization: Any
    write_head: bool
    max_object_bytes: int
    max_volume_bytes: int
    memory_size: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read all settings.

        Raises
        ------
        ConfigError
            Names every variable that is missing or wrong, not only the first.
        """
        values, faults = {}, []
        for setting in SETTINGS:
            text = env.get(setting.name) or setting.default
            if text is None:
                faults.append(f"`{setting.name}` is not set ({setting.help.lower()})")
                continue
            try:
                values[setting.field] = setting.parse(text)
            except ValueError as error:
                faults.append(f"`{setting.name}` is `{text}`: {error}")
        if faults:
            raise ConfigError("; ".join(faults))
        return cls(**values)


@cache
def settings() -> Settings:
    """The settings of this process, read when first asked for."""
    return Settings.from_env(os.environ)
