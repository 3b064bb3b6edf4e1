"""A synthetic head, and the faults of a scanner to put on it: for demonstrations, tests and users without data."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuro_preprocess.image import Contrast, Image, Mask, Volume
from neuro_preprocess.phantom._head import Canvas, Head, Tissue
from neuro_preprocess.phantom._solids import Box

__all__ = ["Phantom", "Tissue", "add_rician_noise", "bias_field", "head_phantom"]

# What the middle of the field of view is set on: between the brain's centre and the chin, so that the whole brain and
# some of the neck are in it.
_ISOCENTRE_MM = (0.0, -10.0, 0.0)
# Signal of white matter on T1w, as a scanner that writes 12-bit integers scales it.
_UNIT_SIGNAL = 1000.0
# Painted slice by slice, a few at a time, everything that a solid needs stays in the processor's cache.
_SLAB = 8


@dataclass(frozen=True)
class Phantom:
    """A synthetic scan whose truth is known.

    Attributes
    ----------
    image : Image
        (X, Y, Z) float32, RAS.
    brain_mask : (X, Y, Z) ndarray of bool
        Cerebrum, cerebellum and brainstem within a smooth hull: sulci and ventricles belong to it, the fluid between
        the hull and the skull does not.
    tissue : (X, Y, Z) ndarray of uint8
        `Tissue` of each voxel, or of most of it.
    bias : (X, Y, Z) ndarray of float32
        The field that the signal was multiplied by.
    """

    image: Image
    brain_mask: Mask
    tissue: npt.NDArray[np.uint8]
    bias: Volume


def head_phantom(
    shape: tuple[int, int, int] = (176, 216, 208),
    voxel_size_mm: float | tuple[float, float, float] = 1.0,
    *,
    seed: int = 0,
    noise: float = 0.03,
    bias: float = 0.2,
    contrast: Contrast = "T1w",
) -> Phantom:
    """Head with scalp, skull, folded cortex, ventricles, eyes, face and neck, scanned with noise and a bias field.

    It is drawn for testing software: shapes, sizes and contrasts are those of an adult head, but it is nobody's, and it
    is no anatomical reference.

    Parameters
    ----------
    shape : (3,) tuple of int, default=(176, 216, 208)
        A smaller field of view cuts the head off, as it does in a scanner.
    voxel_size_mm : float or (3,) tuple of float, default=1.0
        Voxels are sampled at their centres; for thick slices, average those of a finer phantom.
    seed : int, default=0
        Each seed has a head of its own, with its own noise and field.
    noise : float, default=0.03
        Deviation of the Rician noise, as a share of the signal of white matter on T1w, of fluid on T2w.
    bias : float, default=0.2
        Amplitude of the bias field: see `bias_field`.
    contrast : {"T1w", "T2w"}, default="T1w"

    Returns
    -------
    Phantom
    """
    size_mm = np.broadcast_to(np.asarray(voxel_size_mm, dtype=np.float64), 3)
    rng = np.random.default_rng(seed)
    stature = 0.98 * rng.uniform(0.97, 1.03, 3)
    head = Head.draw(rng)
    origin_mm = np.array(_ISOCENTRE_MM) - size_mm * (np.array(shape) - 1) / 2
    axes_mm = [o + s * np.arange(n) for o, s, n in zip(origin_mm, size_mm, shape, strict=True)]
    box = Box.of(*(axis / of_head for axis, of_head in zip(axes_mm, stature, strict=True)))

    signal, tissue, brain = (np.empty(box.shape, dtype) for dtype in (np.float32, np.uint8, np.bool_))
    for start in range(0, box.shape[0], _SLAB):
        slab = slice(start, start + _SLAB)
        canvas = Canvas(box.slab(slab.start, slab.stop), contrast, edge=float(size_mm.prod() ** (1 / 3)))
        brain[slab] = head.paint(canvas)
        signal[slab], tissue[slab] = canvas.signal, canvas.tissue

    field = bias_field(shape, bias, seed=seed)
    scan = add_rician_noise(np.float32(_UNIT_SIGNAL) * signal.T * field, noise * _UNIT_SIGNAL, seed=seed)
    affine = np.diag([*size_mm, 1.0])
    affine[:3, 3] = origin_mm
    return Phantom(Image(scan, affine), brain.T, tissue.T, field)


def bias_field(shape: tuple[int, int, int], amplitude: float, *, seed: int = 0) -> Volume:
    """Smooth multiplicative field, as a receive coil makes it: a few sines of low frequency.

    Parameters
    ----------
    shape : (3,) tuple of int
    amplitude : float
        Peak to peak over the volume: the values span exactly `1 - amplitude / 2` to `1 + amplitude / 2`, the convention
        of BrainWeb, where "40 %" is 0.4.
    seed : int, default=0

    Returns
    -------
    (X, Y, Z) ndarray of float32, Fortran-ordered

    References
    ----------
    Kwan RK-S, Evans AC, Pike GB. MRI simulation-based evaluation of image-processing and classification methods. IEEE
    Trans Med Imaging 18:1085-1097, 1999.
    """
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(
        *(np.linspace(-1, 1, n, dtype=np.float32) for n in reversed(shape)), indexing="ij", sparse=True
    )
    field = np.zeros(shape[::-1], np.float32)
    for _ in range(4):
        (kx, ky, kz), phase, weight = rng.uniform(-1.6, 1.6, 3), rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1)
        field += np.float32(weight) * np.sin(float(kx) * x + float(ky) * y + (float(kz) * z + float(phase)))
    field -= field.min()
    field *= np.float32(amplitude) / field.max()
    field += np.float32(1 - amplitude / 2)
    return field.T


def add_rician_noise(volume: Volume, sigma: float, *, seed: int = 0) -> Volume:
    """Magnitude of a volume whose real and imaginary channels each carry Gaussian noise of deviation `sigma`.

    Parameters
    ----------
    volume : (X, Y, Z) ndarray of float32
    sigma : float
        In the volume's own units. Air, where there is no signal, gets a Rayleigh distribution of mean `1.25 * sigma`.
    seed : int, default=0

    Returns
    -------
    (X, Y, Z) ndarray of float32, Fortran-ordered

    References
    ----------
    Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data. Magn Reson Med 34:910-914, 1995.
    """
    rng = np.random.default_rng(seed)
    real, imaginary = (np.float32(sigma) * rng.standard_normal(volume.shape[::-1], dtype=np.float32) for _ in range(2))
    real += volume.T
    return np.asarray(np.hypot(real, imaginary, out=real).T)
