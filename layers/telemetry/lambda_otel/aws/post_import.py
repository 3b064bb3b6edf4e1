"""Call a function when a module has been imported by whoever needs it.

The import system asks the finders of `sys.meta_path` in turn for every module it has not loaded. Ours answers for a few
names only, with what the other finders say, and a loader that calls the hook after the module's own code has run. No
trace of it stays: the module has its own loader, and the finder is gone once all its modules are there.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_logger = logging.getLogger("lambda_otel")

Hook = Callable[[Any], None]


def after_import(name: str, hook: Hook) -> None:
    """Have `hook(module)` called after a module's import; at once if it is there already.

    An error of the hook is one line in the log, and none of the import.
    """
    if name in sys.modules:
        _call(hook, sys.modules[name])
        return
    finder = next((one for one in sys.meta_path if isinstance(one, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.hooks[name] = hook


def _call(hook: Hook, module: ModuleType) -> None:
    try:
        hook(module)
    except Exception as error:  # noqa: BLE001  the boundary: the import is the function's
        _logger.warning("`%s` could not be instrumented: %r", module.__name__, error)


class _Finder:
    """Finds the modules that are waited for, where the other finders find them."""

    def __init__(self) -> None:
        self.hooks: dict[str, Hook] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.hooks:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]
                return spec
        return None

    def loaded(self, module: ModuleType) -> None:
        """A module has been imported: its hook's turn."""
        hook = self.hooks.pop(module.__name__, None)
        if not self.hooks and self in sys.meta_path:
            sys.meta_path.remove(self)
        if hook is not None:
            _call(hook, module)


class _Loader:
    """Loads as another loader does, and says so to the finder."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finder.loaded(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
