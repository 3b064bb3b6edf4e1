"""Numbers as people read them."""

from collections.abc import Iterable


def of_bytes(size_bytes: int) -> str:
    """A size with three digits and a decimal unit: `8.91 MB`."""
    size, unit = float(size_bytes), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def of_seconds(seconds: float) -> str:
    """A duration: `0.4 s`, `12.3 s`, `2 min 5 s`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def product(numbers: Iterable[float]) -> str:
    """Sizes along axes: `256 x 256 x 176`."""
    return " x ".join(f"{number:.4g}" for number in numbers)


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it takes one: `1 scan`, `3 scans`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def scan_name(key: str) -> str:
    """A key's file name without its extension, for where room is short: `sub-01_T1w`."""
    name = key.rpartition("/")[2]
    for extension in (".gz", ".nii"):
        if name.lower().endswith(extension):
            name = name[: -len(extension)]
    return name
