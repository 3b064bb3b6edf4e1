"""Colin27, a real head that anyone may use: from the Debian package `mricron-data`, installed or fetched."""

import shutil
import subprocess
from pathlib import Path

_PACKAGE = "mricron-data"
_INSTALLED = Path("/usr/share/mricron/templates/ch2.nii.gz")
_TIMEOUT_S = 120


class NotToBeHadError(Exception):
    """The head cannot be had on this machine; the message says why."""


def colin27(folder: Path, installed: Path = _INSTALLED) -> Path:
    """The scan, fetched into `folder` where the package is not installed; no root is needed.

    References
    ----------
    Holmes CJ, Hoge R, Collins L, Woods R, Toga AW, Evans AC. Enhancement of MR images using registration for signal
    averaging. J Comput Assist Tomogr 22:324-333, 1998.

    Raises
    ------
    NotToBeHadError
    """
    if installed.is_file():
        return installed
    fetched = folder / _INSTALLED.relative_to("/")
    if not fetched.is_file():
        _fetch(folder)
    if not fetched.is_file():
        raise NotToBeHadError(f"the package `{_PACKAGE}` holds no `{_INSTALLED.name}`")
    return fetched


def _fetch(folder: Path) -> None:
    """Download the package by the system's own client, and unpack it without installing it."""
    for command in ("apt-get", "dpkg-deb"):
        if shutil.which(command) is None:
            raise NotToBeHadError(f"there is no `{command}` here to fetch the package `{_PACKAGE}` with")
    folder.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-qq", _PACKAGE], folder)
    packages = sorted(folder.glob(f"{_PACKAGE}_*.deb"))
    if not packages:
        raise NotToBeHadError(f"`apt-get` brought no package `{_PACKAGE}`")
    _run(["dpkg-deb", "-x", str(packages[-1].resolve()), "."], folder)


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise NotToBeHadError(f"`{command[0]}` took longer than {_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise NotToBeHadError(f"`{command[0]}`: {reason}") from error
