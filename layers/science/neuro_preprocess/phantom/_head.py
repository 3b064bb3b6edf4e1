"""The anatomy of the phantom: solids and sheets painted one over the other, from the skin to the ventricles.

Coordinates are RAS mm from the anterior commissure, as in an atlas, and the figures are those of an adult.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Contrast
from neuro_preprocess.phantom._solids import Array, Box, Point, Waves, union

# Lowest point of anything that goes on downwards.
_BELOW = -300.0
# Sulci are a wavelength's half apart at this distance from the cerebrum's centre, and nearer further in.
_SULCAL_WAVELENGTH = 20.0
_CEREBRAL_RADIUS = 62.0


class Tissue(IntEnum):
    """What a voxel of the phantom is, for the most part."""

    AIR = 0
    BONE = 1
    MARROW = 2
    MUSCLE = 3
    FAT = 4
    SKIN = 5
    VITREOUS = 6
    CSF = 7
    GREY_MATTER = 8
    WHITE_MATTER = 9


# In tissue order, relative to white matter on T1w and to cerebrospinal fluid on T2w.
_SIGNAL: dict[Contrast, tuple[float, ...]] = {
    "T1w": (0.0, 0.08, 0.75, 0.5, 1.35, 0.65, 0.22, 0.25, 0.7, 1.0),
    "T2w": (0.0, 0.06, 0.4, 0.22, 0.6, 0.3, 1.0, 1.0, 0.55, 0.4),
}


class Canvas:
    """Signal and tissue of the voxels of a box, while a head is being painted on it."""

    def __init__(self, box: Box, contrast: Contrast, edge: float) -> None:
        self.box = box
        self.signal = np.zeros(box.shape, np.float32)
        self.tissue = np.zeros(box.shape, np.uint8)
        self._origin = tuple(s.start for s in box.slices)
        self._signal_of = _SIGNAL[contrast]
        self._edge = np.float32(edge)

    def cover(self, tissue: Tissue, distance: Array, box: Box) -> None:
        """Paint the inside of a solid; a voxel on its surface keeps the share that lies outside."""
        z, y, x = (slice(s.start - o, s.stop - o) for s, o in zip(box.slices, self._origin, strict=True))
        signal = self.signal[z, y, x]
        signal += (np.float32(self._signal_of[tissue]) - signal) * np.clip(
            np.float32(0.5) - distance / self._edge, 0, 1
        )
        self.tissue[z, y, x][distance < 0] = tissue

    def ellipsoid(self, tissue: Tissue, centre: Point, radii: Point) -> None:
        """Paint an ellipsoid along the axes."""
        box = self._around((centre, centre), radii)
        self.cover(tissue, box.ellipsoid(centre, radii), box)

    def capsule(self, tissue: Tissue, start: Point, end: Point, radius: float) -> None:
        """Paint a rod with round ends."""
        box = self._around((start, end), (radius, radius, radius))
        self.cover(tissue, box.capsule(start, end, radius), box)

    def _around(self, corners: tuple[Point, Point], reach: Point) -> Box:
        margin = np.array(reach) + self._edge
        low, high = np.min(corners, axis=0) - margin, np.max(corners, axis=0) + margin
        return self.box.around((low[0], low[1], low[2]), (high[0], high[1], high[2]))


@dataclass(frozen=True)
class Head:
    """One person's head: what varies from one to another, and how to paint it."""

    csf_gap: Waves
    skull: Waves
    scalp: Waves
    fat: Waves
    muscle: Waves
    sulci: Waves
    sulcal_depth: Waves
    cortex: Waves

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Head":
        """Another head for each state of `rng`."""
        return cls(
            csf_gap=Waves.draw(rng, 60),
            skull=Waves.draw(rng, 70),
            scalp=Waves.draw(rng, 90),
            fat=Waves.draw(rng, 50),
            muscle=Waves.draw(rng, 34),
            sulci=Waves.draw(rng, _SULCAL_WAVELENGTH, count=9),
            sulcal_depth=Waves.draw(rng, 45),
            cortex=Waves.draw(rng, 30),
        )

    def paint(self, canvas: Canvas) -> npt.NDArray[np.bool_]:
        """Paint what of the head lies on a canvas; return where the brain is, sulci and ventricles included."""
        hull = _hull(canvas.box)
        cavity = hull - np.maximum(2.2 + 0.7 * self.csf_gap.over(canvas.box), 0.6).astype(np.float32)
        self._soft_tissue(canvas, cavity)
        self._skull(canvas, cavity)
        _face(canvas)
        _neck(canvas)
        canvas.cover(Tissue.CSF, cavity, canvas.box)
        self._cerebrum(canvas)
        _deep_grey_matter(canvas)
        _ventricles(canvas)
        _hindbrain(canvas)
        return np.asarray(hull < 0)

    def _soft_tissue(self, canvas: Canvas, cavity: Array) -> None:
        box = canvas.box
        face = union(box.ellipsoid((0, 36, -56), (58, 54, 60)), box.ellipsoid((0, 88, -46), (11, 14, 17)), 10)
        neck = union(
            box.capsule((-10, -38, -60), (-10, -44, _BELOW), 50), box.capsule((10, -38, -60), (10, -44, _BELOW), 50), 4
        )
        scalp = cavity - np.float32(12.5) - np.float32(1.2) * self.scalp.over(box)
        skin = union(union(scalp, face, 25), neck, 30)
        fascia = skin + np.float32(1.8) + np.maximum(4.5 + self.fat.over(box), 2.5)
        canvas.cover(Tissue.SKIN, skin, box)
        canvas.cover(Tissue.FAT, skin + np.float32(1.8), box)
        canvas.cover(Tissue.MUSCLE, fascia, box)
        # Fat between the muscles: sheets, hence zeros of a smooth function.
        septa = np.maximum(np.abs(self.muscle.over(box)) * np.float32(5) - np.float32(0.3), fascia + 2)
        canvas.cover(Tissue.FAT, septa, box)

    def _skull(self, canvas: Canvas, cavity: Array) -> None:
        box = canvas.box
        half = np.float32(2.8) + np.float32(0.45) * self.skull.over(box)
        canvas.cover(Tissue.BONE, cavity - 2 * half, box)
        # Marrow between the two tables, in the vault and not in the base.
        table = np.float32(1.8) + np.float32(0.05) * np.maximum(20 - box.z, 0)
        canvas.cover(Tissue.MARROW, np.abs(cavity - half) - half + table, box)

    def _cerebrum(self, canvas: Canvas) -> None:
        box = canvas.box.around((-80, -115, -60), (80, 80, 90))
        hull = _cerebrum(box)
        # Waves that depend on the direction alone have zeros that are sheets running inwards: the sulci.
        y, z = (box.y + 18) * np.float32(0.8), box.z - 10
        radius = np.sqrt(np.square(box.x) + np.square(y) + np.square(z)) + 1
        outwards = np.float32(_CEREBRAL_RADIUS) / radius
        waves = self.sulci.at(box.x * outwards, y * outwards, z * outwards)
        # A wave of deviation 1 rises by about 2 pi in a wavelength: that makes it a distance from its zeros.
        sheets = np.abs(waves) / outwards * np.float32(_SULCAL_WAVELENGTH / (2 * np.pi))
        floor = np.maximum(np.float32(19) + np.float32(6) * self.sulcal_depth.over(box), 6)
        pia = np.minimum(-hull, sheets - np.float32(0.45) + np.maximum(-hull - floor, 0))
        # The falx stands in a fissure between the hemispheres, down to the corpus callosum.
        falx = np.abs(box.x + np.float32(0.6) * np.sin(box.y / 17)) - np.float32(0.9)
        callosum = box.ellipsoid((0, -14, 6), (1000, 44, 26))
        pia = np.minimum(pia, falx + np.maximum(-callosum, 0))
        canvas.cover(Tissue.GREY_MATTER, -pia, box)
        canvas.cover(Tissue.WHITE_MATTER, np.float32(3) + np.float32(0.3) * self.cortex.over(box) - pia, box)


def _cerebrum(box: Box) -> Array:
    dome = union(box.ellipsoid((0, -18, 20), (65, 83, 55)), box.ellipsoid((0, 20, 6), (48, 46, 34)), 12)
    left, right = (box.ellipsoid((side * 39, -12, -14), (26, 44, 22)) for side in (-1, 1))
    return union(union(dome, left, 8), right, 8)


def _cerebellum(box: Box) -> Array:
    left, right = (box.ellipsoid((side * 21, -60, -34), (30, 28, 22)) for side in (-1, 1))
    return union(left, right, 12)


def _brainstem(box: Box) -> Array:
    return union(box.ellipsoid((0, -26, -32), (17, 13, 17)), box.capsule((0, -22, -8), (0, -42, -64), 9), 8)


def _hull(box: Box) -> Array:
    return union(_cerebrum(box), union(_cerebellum(box), _brainstem(box), 10), 16)


def _face(canvas: Canvas) -> None:
    for side in (-1, 1):
        canvas.ellipsoid(Tissue.BONE, (side * 31, 46, -28), (22, 26, 21))
        canvas.ellipsoid(Tissue.FAT, (side * 31, 52, -28), (18, 24, 17))
        canvas.capsule(Tissue.MUSCLE, (side * 31, 56, -28), (side * 18, 28, -24), 4)
        canvas.ellipsoid(Tissue.SKIN, (side * 32, 59, -28), (13.5, 13.5, 13.5))
        canvas.ellipsoid(Tissue.VITREOUS, (side * 32, 59, -28), (12, 12, 12))
        canvas.ellipsoid(Tissue.BONE, (side * 48, -30, -46), (13, 18, 16))
        canvas.ellipsoid(Tissue.AIR, (side * 50, -32, -48), (7, 10, 9))
        canvas.ellipsoid(Tissue.BONE, (side * 27, 52, -60), (18, 24, 18))
        canvas.ellipsoid(Tissue.AIR, (side * 27, 52, -60), (15, 20, 15))
        canvas.ellipsoid(Tissue.AIR, (side * 5, 58, -54), (3, 30, 20))
    canvas.ellipsoid(Tissue.AIR, (0, 16, -42), (12, 13, 9))
    canvas.capsule(Tissue.AIR, (0, 6, -58), (0, -4, _BELOW), 7)
    canvas.ellipsoid(Tissue.BONE, (0, 50, -86), (30, 34, 5))


def _neck(canvas: Canvas) -> None:
    canvas.capsule(Tissue.BONE, (0, -22, -70), (0, -26, _BELOW), 13)
    canvas.capsule(Tissue.MARROW, (0, -22, -72), (0, -26, _BELOW), 10)
    canvas.capsule(Tissue.BONE, (0, -44, -66), (0, -50, _BELOW), 13)
    canvas.capsule(Tissue.CSF, (0, -43, -62), (0, -48, _BELOW), 9)
    canvas.capsule(Tissue.WHITE_MATTER, (0, -43, -62), (0, -48, _BELOW), 5)


def _deep_grey_matter(canvas: Canvas) -> None:
    for side in (-1, 1):
        canvas.ellipsoid(Tissue.GREY_MATTER, (side * 11, -18, 7), (8.5, 14, 9))
        canvas.ellipsoid(Tissue.GREY_MATTER, (side * 25, 2, 2), (5, 17, 11))
        canvas.ellipsoid(Tissue.GREY_MATTER, (side * 13, 14, 8), (5, 10, 10))


def _ventricles(canvas: Canvas) -> None:
    for side in (-1, 1):
        canvas.capsule(Tissue.CSF, (side * 7, 24, 10), (side * 9, -12, 20), 4.5)
        canvas.capsule(Tissue.CSF, (side * 9, -12, 20), (side * 20, -42, 12), 6)
        canvas.capsule(Tissue.CSF, (side * 20, -42, 12), (side * 24, -70, 8), 3.5)
        canvas.capsule(Tissue.CSF, (side * 20, -42, 12), (side * 34, -16, -12), 2.5)
    canvas.ellipsoid(Tissue.CSF, (0, -14, 2), (1.8, 13, 9))


def _hindbrain(canvas: Canvas) -> None:
    box = canvas.box.around((-60, -100, -80), (60, 0, 0))
    cerebellum = _cerebellum(box)
    canvas.cover(Tissue.CSF, cerebellum - np.float32(0.3), box)
    # Folia are concentric about the brainstem; the white matter sends a branch into every other one.
    phase = (np.sqrt(np.square(box.y + 34) + np.square(box.z + 34)) + box.x * np.float32(0.12)) * np.float32(
        np.pi / 5.5
    )
    canvas.cover(Tissue.GREY_MATTER, cerebellum + np.float32(0.4) - np.float32(0.5) * np.sin(2 * phase), box)
    canvas.cover(Tissue.WHITE_MATTER, cerebellum + np.float32(9) + np.float32(3.5) * np.sin(phase), box)
    canvas.cover(Tissue.WHITE_MATTER, _brainstem(box), box)
    canvas.ellipsoid(Tissue.CSF, (0, -42, -36), (7, 4, 9))
