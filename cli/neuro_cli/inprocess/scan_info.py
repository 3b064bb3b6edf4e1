"""What a file is, and what would become of it: the facts behind `neuro-preprocess info`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuro_cli.dataset import LocalScan, local_scan
from neuro_cli.inprocess.faults import Fault, fault_of
from neuro_cli.inprocess.machine import available_memory_bytes
from neuro_cli.inprocess.scan_file import open_scan, size_of
from neuro_preprocess.bids import BidsName
from neuro_preprocess.conform import ConformPlan, plan_conform
from neuro_preprocess.image import Notice
from neuro_preprocess.memory import chain_peak_bytes, check_fits
from neuro_preprocess.nifti import NiftiHeader

# NIfTI's own words for its xform codes.
SPACES = {1: "scanner", 2: "aligned to another scan", 3: "Talairach", 4: "MNI", 5: "other template"}


@dataclass(frozen=True)
class Intensities:
    """The voxels' values, and how many were not finite."""

    minimum: float
    maximum: float
    nonfinite_voxels: int


@dataclass(frozen=True)
class ScanInfo:
    """As much as could be learnt of a file; None for what could not.

    Attributes
    ----------
    scan : LocalScan
    size_bytes : int or None
    header : NiftiHeader or None
    plan : ConformPlan or None
    needed_bytes, available_bytes : int or None
        Memory: what the whole chain takes at its peak, and what this machine has.
    intensities : Intensities or None
    notices : tuple of Notice
    fault : Fault or None
        Why it would be refused; None: it would be processed.
    """

    scan: LocalScan
    size_bytes: int | None = None
    header: NiftiHeader | None = None
    plan: ConformPlan | None = None
    needed_bytes: int | None = None
    available_bytes: int | None = None
    intensities: Intensities | None = None
    notices: tuple[Notice, ...] = ()
    fault: Fault | None = None

    @property
    def name(self) -> BidsName:
        """What its name says."""
        return BidsName.parse(self.scan.key)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "file": str(self.scan.path),
            "size_bytes": self.size_bytes,
            "is_valid": self.fault is None,
            "error": None if self.fault is None else asdict(self.fault),
            "notices": [asdict(notice) for notice in self.notices],
            "name": {
                "key": self.scan.key,
                "is_bids": self.name.is_valid,
                "contrast": self.name.contrast,
                "derivatives": self.name.stem,
            },
            "header": None if self.header is None else _header_dict(self.header),
            "intensities": None if self.intensities is None else asdict(self.intensities),
            "conformed": None if self.plan is None else _plan_dict(self.plan),
            "memory": {"needed_bytes": self.needed_bytes, "available_bytes": self.available_bytes},
        }


def scan_info(path: Path, *, voxel_size_mm: float = 1.0, is_header_only: bool = False) -> ScanInfo:
    """Learn what a file is; whatever is wrong with it is in the result, not raised.

    Parameters
    ----------
    path : Path
    voxel_size_mm : float
        Of the conformed volume.
    is_header_only : bool
        Do not read the voxels: quicker, but damage to them goes unseen.
    """
    known: dict[str, Any] = {"scan": local_scan(path)}
    try:
        _learn(path, voxel_size_mm, is_header_only, known)
    except Exception as error:  # noqa: BLE001  the boundary: a broken file must not break the command
        known["fault"] = fault_of(error)
    return ScanInfo(**known)


def _learn(path: Path, voxel_size_mm: float, is_header_only: bool, known: dict[str, Any]) -> None:
    known["notices"] = BidsName.parse(known["scan"].key).notices
    known["size_bytes"] = size_of(path)
    known["available_bytes"] = available_memory_bytes()
    with open_scan(path) as reader:
        header = known["header"] = reader.header
        known["notices"] += header.notices
        plan = known["plan"] = plan_conform(
            header.shape, header.affine, voxel_size_mm=voxel_size_mm, xform_code=header.xform_code
        )
        known["needed_bytes"] = chain_peak_bytes(plan)
        check_fits(plan, available_bytes=known["available_bytes"])
        if is_header_only:
            return
        scan = reader.read()
        known["notices"] += scan.notices[len(header.notices) :]
        data = scan.image.data
        known["intensities"] = Intensities(float(data.min()), float(data.max()), scan.nonfinite_voxels)


def _header_dict(header: NiftiHeader) -> dict[str, Any]:
    return {
        "format": f"NIfTI-{header.version}",
        "is_gzipped": header.is_gzipped,
        "is_big_endian": header.is_big_endian,
        "shape": list(header.shape),
        "voxel_size_mm": [round(edge, 4) for edge in header.voxel_size_mm],
        "dtype": header.dtype.name,
        "slope": header.slope,
        "intercept": header.intercept,
        "space": SPACES[header.xform_code],
        "affine": header.affine.tolist(),
    }


def _plan_dict(plan: ConformPlan) -> dict[str, Any]:
    return {
        "source_orientation": plan.source_orientation,
        "orientation": "RAS",
        "shape": list(plan.shape),
        "voxel_size_mm": [round(float((plan.affine[:3, axis] ** 2).sum() ** 0.5), 4) for axis in range(3)],
        "is_resampled": plan.is_resampled,
        "is_sheared": plan.is_sheared,
    }
