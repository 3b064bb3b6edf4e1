"""Standard modules that the SDK imports at its top and that few functions ever use: loaded when one of them does.

`socket`, `subprocess`, `platform`, `random` and `ipaddress` are 6 ms and a dozen files of a cold start, for resource
detectors and an id generator that this layer does not use. While the SDK is imported, each has a stand-in that loads
the module when something is taken from it. The stand-in is gone from `sys.modules` before the function's code runs,
which imports the module itself; the SDK keeps its stand-in and never sees a difference.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_NAMES = ("ipaddress", "platform", "random", "socket", "subprocess")


class _StandIn(ModuleType):
    """A module that is loaded when an attribute is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these of every module
            raise AttributeError(name)
        _remove(self)
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


@contextmanager
def deferred_modules() -> Iterator[None]:
    """Have stand-ins for modules that are not loaded yet, until the end of the `with`."""
    stand_ins = [_StandIn(name) for name in _NAMES if name not in sys.modules]
    for stand_in in stand_ins:
        sys.modules[stand_in.__name__] = stand_in
    try:
        yield
    finally:
        for stand_in in stand_ins:
            _remove(stand_in)


def _remove(stand_in: _StandIn) -> None:
    if sys.modules.get(stand_in.__name__) is stand_in:
        del sys.modules[stand_in.__name__]
