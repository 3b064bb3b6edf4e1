"""How much a scan may take, before anything is read."""

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds on one scan; beyond them it is refused as `TOO_LARGE`.

    Attributes
    ----------
    max_object_bytes : int
        Size of the file as stored, compressed or not.
    max_volume_bytes : int
        Size of the voxels, as stored and as float32, whichever is larger. A bound on the compression ratio would not
        do in its place: an empty volume honestly compresses 1000 to 1.
    """

    max_object_bytes: int = 512 * _MIB
    max_volume_bytes: int = 1024 * _MIB


DEFAULT_LIMITS = Limits()
