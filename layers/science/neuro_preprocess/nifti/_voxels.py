"""Voxels as stored turned into float32 intensities, slab by slab, with a tally of what they held."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.image import Volume
from neuro_preprocess.nifti._source import ByteSource
from neuro_preprocess.nifti.header import MAX_INTENSITY, NiftiHeader

MAX_NONFINITE_SHARE = 1e-3

_SLAB_VOXELS = 1 << 17
"""Large enough to cost nothing, small enough that a slab in float64 stays in the cache."""


class Tally:
    """Extremes of the stored values and how many are not finite, kept while slabs pass."""

    def __init__(self) -> None:
        self.lowest = np.inf
        self.highest = -np.inf
        self.nonfinite = 0

    def add(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Count a slab; the mask of its values that are not finite, if there are any."""
        lowest, highest = float(stored.min()), float(stored.max())
        # Either is a NaN or an infinity as soon as one value is; only then is it worth looking at each.
        if np.isfinite(lowest) and np.isfinite(highest):
            self._extend(lowest, highest)
            return None
        is_finite: npt.NDArray[np.bool_] = np.isfinite(stored)
        finite = stored[is_finite]
        self.nonfinite += stored.size - finite.size
        if finite.size:
            self._extend(float(finite.min()), float(finite.max()))
        return ~is_finite

    def _extend(self, lowest: float, highest: float) -> None:
        self.lowest = min(self.lowest, lowest)
        self.highest = max(self.highest, highest)


def read_voxels(source: ByteSource, header: NiftiHeader) -> tuple[Volume, Tally]:
    """Intensities of a volume, straight from the source; nothing of the size of the volume exists beside them.

    Values that are not finite become 0. Nothing is judged here: until the source has been read to its checksum, any
    oddity may be damage.

    Parameters
    ----------
    source : ByteSource
        At the first voxel.
    header : NiftiHeader

    Returns
    -------
    volume : (X, Y, Z) ndarray of float32
        Fortran-ordered.
    tally : Tally

    Raises
    ------
    InvalidInputError
        `TRUNCATED`, and what the source raises.
    """
    voxels = np.empty(header.volume_bytes // 4, np.float32)
    tally = Tally()
    # A file's float64 may exceed float32, its NaNs be signalling ones: the tally tells of both.
    with np.errstate(over="ignore", invalid="ignore"):
        for stored, target in _slabs(source, header, voxels):
            mask = tally.add(stored)
            if header.is_scaled:
                # In float64, as other readers do; a float32 slab times a Python float would stay float32.
                target[:] = stored * np.float64(header.slope) + header.intercept
            elif stored is not target:
                target[:] = stored
            if mask is not None:
                target[mask] = 0
    return voxels.reshape(header.shape, order="F"), tally


def check_intensities(tally: Tally, header: NiftiHeader) -> None:
    """Refuse a volume that holds no intensities one could work with.

    Raises
    ------
    InvalidInputError
        `NONFINITE` above a share of 0.1 %, `BAD_SCALE` when an intensity is beyond 1e15 (so also beyond float32) or all
        are below 1e-15, `NO_SIGNAL` when all are the same number.
    """
    count = header.volume_bytes // 4
    if tally.nonfinite > MAX_NONFINITE_SHARE * count:
        raise InvalidInputError(
            InputFault.NONFINITE,
            f"{tally.nonfinite} of {count} voxels are not finite, expected at most {MAX_NONFINITE_SHARE:.1%}",
        )
    extremes = [value * header.slope + header.intercept for value in (tally.lowest, tally.highest)]
    peak = max(abs(value) for value in extremes)
    if peak > MAX_INTENSITY or 0 < peak < 1 / MAX_INTENSITY:
        raise InvalidInputError(
            InputFault.BAD_SCALE,
            f"the largest intensity is {peak:g}, expected {1 / MAX_INTENSITY:g} to {MAX_INTENSITY:g}",
        )
    if np.float32(extremes[0]) == np.float32(extremes[1]):
        raise InvalidInputError(InputFault.NO_SIGNAL, f"all voxels are {extremes[0]:g}, expected an image")


def _slabs(
    source: ByteSource, header: NiftiHeader, voxels: npt.NDArray[np.float32]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.float32]]]:
    """Pairs of stored values in native byte order and the place for their intensities; the same array when it can be.

    The first is overwritten by the next pair.
    """
    native = header.dtype.newbyteorder("=")
    scratch = voxels if native == np.float32 else np.empty(min(_SLAB_VOXELS, voxels.size), native)
    for first in range(0, voxels.size, _SLAB_VOXELS):
        target = voxels[first : first + _SLAB_VOXELS]
        stored = target if scratch is voxels else scratch[: target.size]
        filled = source.read_into(stored.view(np.uint8).data)
        if filled < stored.nbytes:
            raise InvalidInputError(
                InputFault.TRUNCATED,
                f"expected {header.stored_bytes} bytes of voxels, got {source.position - header.data_offset}",
            )
        if not header.dtype.isnative:
            stored.byteswap(inplace=True)
        yield stored, target
