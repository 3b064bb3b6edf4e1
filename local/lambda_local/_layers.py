"""Layers laid over each other, as Lambda unpacks them into `/opt`: one tree, of symbolic links."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LayerPart:
    """A file or folder of a layer.

    Attributes
    ----------
    source : Path
        Where it is.
    target : Path
        Where the processes of an environment will find it.
    """

    source: Path
    target: Path


def lay_over(layers: Sequence[LayerPart], folder: Path) -> None:
    """Make a folder that shows several as one: of two files with the same name, the later folder's is seen.

    Parameters
    ----------
    layers : sequence of LayerPart
        Folders, in the order of the template.
    folder : Path
        Made here, with its parents. Only where two layers have the same folder is it a folder; else it is a link.
    """
    folder.mkdir(parents=True)
    seen: dict[str, list[LayerPart]] = {}
    for layer in layers:
        for entry in layer.source.iterdir():
            part = LayerPart(entry, layer.target / entry.name)
            below = seen.get(entry.name, [])
            is_joined = bool(below) and entry.is_dir() and below[0].source.is_dir()
            seen[entry.name] = [*below, part] if is_joined else [part]
    for name, parts in seen.items():
        if len(parts) == 1:
            (folder / name).symlink_to(parts[0].target)
        else:
            lay_over(parts, folder / name)
