"""Scans on disk and their keys: the same file has the same key, and so the same derivatives, here and in the bucket."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from neuro_cli.errors import CliError
from neuro_preprocess.bids import BidsName, is_companion

DESCRIPTION = "dataset_description.json"
DEFAULT_PATTERN = "*.nii*"
# Every result's name has this entity, which BIDS keeps for derivatives: no raw scan has it.
_RESULT_ENTITY = "_desc-"


@dataclass(frozen=True)
class LocalScan:
    """A file and the key it has, or would have, in the raw bucket.

    Attributes
    ----------
    path : Path
    key : str
        Path in its dataset, with `/` between folders.
    """

    path: Path
    key: str


@dataclass(frozen=True)
class Found:
    """The scans of a folder.

    Attributes
    ----------
    scans : tuple of LocalScan
        In the order of their keys.
    others : int
        Files that match the pattern and are no T1w or T2w scans of the BIDS dataset they lie in.
    results : int
        Files that match the pattern and are named as a result in the output folder.
    """

    scans: tuple[LocalScan, ...]
    others: int
    results: int = 0


def local_scan(path: Path) -> LocalScan:
    """A file with its key: its path in the BIDS dataset around it, or its name alone where there is none."""
    path = path.absolute()
    root = _dataset_root(path.parent) or path.parent
    return LocalScan(path, path.relative_to(root).as_posix())


def find_scans(folder: Path, pattern: str = DEFAULT_PATTERN, *, output: Path | None = None) -> Found:
    """All scans below a folder.

    Keys are paths from the BIDS dataset that the folder is or lies in, or else from the folder itself. Of a dataset
    only what BIDS calls a T1w or T2w scan is taken: its other images are no structural heads. Sidecars, hidden files
    and a dataset's folders for other things (`derivatives/`, `sourcedata/`, ...) are left out everywhere.

    Parameters
    ----------
    folder : Path
    pattern : str
        Of file names, as a shell has it; upper and lower case are the same.
    output : Path, optional
        Where results go. Those of before that lie in it are no scans, and are only counted.

    Raises
    ------
    CliError
        A folder cannot be read.
    """
    folder = folder.absolute()
    root = _dataset_root(folder)
    is_bids = root is not None
    root = root or folder
    scans, others, results = [], 0, 0
    for path in _files(folder, pattern):
        key = path.relative_to(root).as_posix()
        if is_companion(key):
            continue
        if output is not None and _is_result(path, output):
            results += 1
            continue
        if is_bids and not BidsName.parse(key).is_valid:
            others += 1
            continue
        scans.append(LocalScan(path, key))
    return Found(tuple(sorted(scans, key=lambda scan: scan.key)), others, results)


def gather_scans(paths: Sequence[Path], pattern: str = DEFAULT_PATTERN) -> Found:
    """Scans of all files and folders that were named; a file that was named is taken whatever it is."""
    scans: dict[Path, LocalScan] = {}
    others = 0
    for path in paths:
        found = find_scans(path, pattern) if path.is_dir() else Found((local_scan(path),), 0)
        scans |= {scan.path: scan for scan in found.scans}
        others += found.others
    return Found(tuple(scans.values()), others)


def _is_result(path: Path, output: Path) -> bool:
    return _RESULT_ENTITY in path.name and path.parent.resolve().is_relative_to(output.resolve())


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise CliError(f"folder `{error.filename}` cannot be read: {(error.strerror or str(error)).lower()}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if fnmatch(name.lower(), pattern.lower()))


def _dataset_root(folder: Path) -> Path | None:
    """The raw BIDS dataset that a folder is or lies in: by its description, or by its subjects' folders."""
    above = (folder, *folder.parents)
    for candidate in above:
        if (candidate / DESCRIPTION).is_file():
            return candidate
    if any(folder.glob("sub-*/")):
        return folder
    return next((candidate.parent for candidate in above if candidate.name.startswith("sub-")), None)
