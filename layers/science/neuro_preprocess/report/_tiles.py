"""Tiles of a quality picture: slices of a volume in mm proportions, with the mask's edge and colours on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neuro_preprocess._voxels import bounding_box
from neuro_preprocess.image import Mask, Volume
from neuro_preprocess.report.canvas import Picture

Plane: TypeAlias = npt.NDArray[np.float32]

# What lies around the brain is there to judge the mask by, not to recognise a person by: near the edge it is dimmed,
# and this far from it black, so that neither eyes nor nose nor the outline of a face can be seen.
_SURROUNDINGS_MM = 10.0
_SURROUNDINGS_BRIGHTNESS = 0.6
_CROP_MARGIN_MM = 5.0
EDGE_COLOUR = (255, 56, 48)
# Half the width of the line, in pixels, up to where it is opaque; it fades over one pixel more.
_EDGE_HALF_WIDTH = 0.35
# Colours of a field below, at and above 1, and in between.
_FIELD_COLOURS = np.array(
    [(33, 70, 160), (92, 150, 214), (232, 232, 228), (233, 138, 84), (170, 32, 40)], dtype=np.float32
)


@dataclass(frozen=True)
class View:
    """A direction to look at a RAS+ volume from.

    Attributes
    ----------
    name : str
    axis : int
        The axis that is sliced.
    across, up : int
        The axes that run to the right and upwards in the picture.
    order : str
        How slices follow each other as the index grows.
    marks : tuple of str
        What is at the picture's left, right, top and bottom.
    """

    name: str
    axis: int
    across: int
    up: int
    order: str
    marks: tuple[str, str, str, str]

    def label(self, index: int) -> str:
        """Name of a slice: its voxel axis and index, as viewers show them."""
        return f"{'ijk'[self.axis]} {index}"


AXIAL = View("AXIAL", 2, 0, 1, "feet to head", ("L", "R", "A", "P"))
CORONAL = View("CORONAL", 1, 0, 2, "back to front", ("L", "R", "S", "I"))
SAGITTAL = View("SAGITTAL", 0, 1, 2, "left to right", ("P", "A", "S", "I"))
VIEWS = (AXIAL, CORONAL, SAGITTAL)


class Slicer:
    """Slices of volumes on one grid, cropped to the brain and a little more, at one scale.

    Parameters
    ----------
    mask : (X, Y, Z) ndarray of bool
    voxel_size_mm : (3,) sequence of float
    """

    def __init__(self, mask: Mask, voxel_size_mm: Sequence[float]) -> None:
        self._mask = mask
        self._voxel_size_mm = tuple(voxel_size_mm)
        brain = bounding_box(mask) if mask.any() else tuple(slice(0, n) for n in mask.shape)
        self._brain = brain
        margins = [math.ceil(_CROP_MARGIN_MM / edge) for edge in voxel_size_mm]
        self._box = tuple(
            slice(max(extent.start - margin, 0), min(extent.stop + margin, n))
            for extent, margin, n in zip(brain, margins, mask.shape, strict=True)
        )
        self.pixels_per_mm = 1.0

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Size of the box that all slices are cropped to."""
        x, y, z = ((e.stop - e.start) * edge for e, edge in zip(self._box, self._voxel_size_mm, strict=True))
        return x, y, z

    def indices(self, view: View, count: int) -> list[int]:
        """`count` slices spread over the brain, short of its two ends."""
        extent = self._brain[view.axis]
        inset = 0.06 * (extent.stop - 1 - extent.start)
        return [round(i) for i in np.linspace(extent.start + inset, extent.stop - 1 - inset, count)]

    def tile_size(self, view: View) -> tuple[int, int]:
        """Height and width of a view's tiles, in pixels."""
        return self._pixels(view.up), self._pixels(view.across)

    def anatomy(self, volume: Volume, view: View, index: int, *, white: float, with_edge: bool = True) -> Picture:
        """Grey tile of a slice, `white` and above being white; the brain's surroundings dimmed."""
        grey = self._resampled(self._plane(volume, view, index), view)
        coverage = self._resampled(self._plane(self._mask, view, index), view)
        grey = np.clip(grey * np.float32(255 / white), 0, 255) * self._brightness(coverage)
        tile = np.repeat(grey[..., None], 3, axis=2)
        if with_edge:
            opacity = _edge_opacity(coverage)[..., None]
            tile += opacity * (np.array(EDGE_COLOUR, np.float32) - tile)
        return tile.astype(np.uint8)

    def field(self, before: Volume, after: Volume, view: View, index: int) -> tuple[Plane, Plane]:
        """Ratio `before / after` within the brain on a tile, and how much of each pixel it covers."""
        numerator, denominator = self._plane(before, view, index), self._plane(after, view, index)
        known = self._plane(self._mask, view, index).astype(bool) & (denominator > 0)
        ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=known)
        coverage = self._resampled(known.astype(np.float32), view)
        # Weighted by what is known, so that the tile's rim is not darkened by the nothing around it.
        value = self._resampled(ratio, view) / np.maximum(coverage, np.float32(1e-6))
        return np.asarray(value, np.float32), coverage

    def _plane(self, volume: npt.NDArray[Any], view: View, index: int) -> Plane:
        where: list[slice | int] = list(self._box)
        where[view.axis] = index
        # Of the two axes left, the lower one comes first, and it is the one that runs across in every view.
        return volume[tuple(where)].T[::-1].astype(np.float32)

    def _resampled(self, plane: Plane, view: View) -> Plane:
        height, width = self.tile_size(view)
        return np.asarray(_weights(plane.shape[0], height) @ plane @ _weights(plane.shape[1], width).T)

    def _brightness(self, coverage: Plane) -> Plane:
        distance_mm = ndimage.distance_transform_edt(coverage < 0.5) / self.pixels_per_mm
        if not (coverage >= 0.5).any():
            distance_mm = np.full(coverage.shape, np.inf)
        around = _SURROUNDINGS_BRIGHTNESS * np.clip(1 - distance_mm / _SURROUNDINGS_MM, 0, 1)
        return np.asarray(coverage + (1 - coverage) * around, np.float32)

    def _pixels(self, axis: int) -> int:
        return max(round(self.size_mm[axis] * self.pixels_per_mm), 1)


def coloured(field: Plane, coverage: Plane, *, spread: float) -> Picture:
    """Colours of a field from `1 - spread` to `1 + spread`, on black where it is not known."""
    position = np.clip((field - 1) / spread, -1, 1) * 2 + 2
    stops = np.arange(len(_FIELD_COLOURS))
    channels = [np.interp(position, stops, _FIELD_COLOURS[:, channel]) for channel in range(3)]
    return np.asarray(np.stack(channels, axis=-1) * np.clip(coverage, 0, 1)[..., None], np.uint8)


def _weights(samples: int, pixels: int) -> Plane:
    """Matrix that takes samples to pixels over the same length: linear between them, averaging where they are many."""
    step = samples / pixels
    centres = (np.arange(pixels) + 0.5) * step - 0.5
    distance = np.abs(np.clip(centres, 0, samples - 1)[:, None] - np.arange(samples)) / max(step, 1)
    weights = np.maximum(1 - distance, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _edge_opacity(coverage: Plane) -> Plane:
    """Line, about a pixel wide and smooth, along which the coverage is one half."""
    if min(coverage.shape) < 2:
        return np.zeros_like(coverage)
    slope = np.hypot(*np.gradient(coverage))
    # Distance to the line by linear extrapolation; where the coverage is flat there is no line to be near to.
    distance = np.abs(coverage - 0.5) / np.maximum(slope, np.float32(0.05))
    return np.asarray(np.clip(1 + _EDGE_HALF_WIDTH - distance, 0, 1), np.float32)
