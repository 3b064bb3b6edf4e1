"""All modules a start needs, as byte code in one file: a hundred files fewer to open, and a tenth less CPU.

Lambda fetches a layer's files from far away when they are first read, so a file less counts for more there than here.
`make_bundle.py` writes the file while the layer is built; without one (in tests, in another Python) modules are
imported from their own files as ever, and modules that are not in it always are.
"""

import marshal
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  pathlib is 3 ms

# name -> (path below the folder, whether it is a package, byte code)
Entries = dict[str, tuple[str, bool, bytes]]


def bundle_path(folder: str = _FOLDER) -> str:
    """Where the bundle of a folder of packages is, for this version of Python."""
    return f"{folder}/lambda_otel/{sys.implementation.cache_tag}.bundle"


def install_bundle(folder: str = _FOLDER) -> None:
    """Import from the bundle from now on, if there is one and no package of it comes from elsewhere."""
    if sys.flags.optimize or _is_shadowed(folder):
        return
    try:
        with open(bundle_path(folder), "rb") as file:  # noqa: PTH123  as above
            entries: Entries = marshal.loads(file.read())  # noqa: S302  as trusted as the code beside it
    except (OSError, ValueError, EOFError):
        return
    sys.meta_path.insert(0, _Finder(folder, entries))


def _is_shadowed(folder: str) -> bool:
    """Whether a function brings an OpenTelemetry of its own, which goes before the layer's."""
    for path in sys.path:
        if os.path.abspath(path) == folder:  # noqa: PTH100
            return False
        if os.path.isdir(f"{path}/opentelemetry"):  # noqa: PTH112
            return True
    return True


class _Finder:
    """Finds modules in the bundle, and loads them. Each is needed once."""

    def __init__(self, folder: str, entries: Entries) -> None:
        self._folder, self._entries = folder, entries

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        file, is_package, _ = entry
        spec = ModuleSpec(name, self, origin=f"{self._folder}/{file}", is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [f"{self._folder}/{file}".rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """A plain module will do."""

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = marshal.loads(self._entries.pop(module.__name__)[2])  # noqa: S302  as above
        exec(code, vars(module))  # noqa: S102  what importing is
