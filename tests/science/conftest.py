"""A real head with trusted brain masks: Colin27, from the Debian package `mricron-data`. It is never committed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from neuro_preprocess._voxels import close_mm, largest_component
from neuro_preprocess.image import Affine, Mask, Volume

PACKAGE = "mricron-data"
TEMPLATES = Path("usr/share/mricron/templates")
CACHE = Path(__file__).parents[2] / ".build" / "data"
VOXEL_SIZE_MM = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Colin27:
    """T1w scan of one head, average of 27, 1 mm, RAS, with two brain masks of different origin.

    `bet_mask` is FSL BET's, cleaned of specks and streaks. `better_mask` comes from a tissue segmentation of later,
    sharper scans of the same head: it knows nothing of BET.
    """

    volume: Volume
    affine: Affine
    bet_mask: Mask
    better_mask: Mask


def find_templates() -> Path:
    """Folder of the package's volumes: installed, or else downloaded and unpacked without installing."""
    for root in (Path("/"), CACHE):
        if (root / TEMPLATES / "ch2.nii.gz").is_file():
            return root / TEMPLATES
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FileNotFoundError(f"expected the Debian package `{PACKAGE}`, or `apt-get` and `dpkg-deb` to fetch it")
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "download", PACKAGE)
    except subprocess.CalledProcessError:
        # A fresh machine has no list of packages yet; only root may fetch it.
        _run("apt-get", "update")
        _run("apt-get", "download", PACKAGE)
    (archive,) = CACHE.glob(f"{PACKAGE}_*.deb")
    _run("dpkg-deb", "-x", str(archive), str(CACHE))
    archive.unlink()
    return CACHE / TEMPLATES


def _run(*command: str) -> None:
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, timeout=240)


def filled(mask: Mask) -> Mask:
    return np.asfortranarray(ndimage.binary_fill_holes(mask))


@pytest.fixture(scope="session")
def colin27(lack) -> Colin27:
    try:
        templates = find_templates()
    except (OSError, subprocess.SubprocessError) as error:
        lack(f"Colin27 cannot be had here: {error}")
    head = nibabel.load(templates / "ch2.nii.gz")
    bet = largest_component(np.asfortranarray(np.asarray(nibabel.load(templates / "ch2bet.nii.gz").dataobj) > 0))
    sharp = nibabel.load(templates / "ch2better.nii.gz")
    to_sharp = np.linalg.inv(sharp.affine) @ head.affine
    better = ndimage.affine_transform(
        (np.asarray(sharp.dataobj) > 20).astype(np.float32),
        to_sharp[:3, :3],
        to_sharp[:3, 3],
        output_shape=head.shape,
        order=1,
    )
    return Colin27(
        volume=np.asfortranarray(head.dataobj, np.float32),
        affine=head.affine,
        bet_mask=filled(close_mm(bet, 3, VOXEL_SIZE_MM)),
        better_mask=filled(close_mm(better > 0.5, 5, VOXEL_SIZE_MM)),
    )
