"""How keys of S3 objects are shown in telemetry: as they are, or as a function of the user's shows them.

A key may hold what must not leave, such as a name. `OTEL_LAMBDA_S3_KEY=module:function` names a function that is given
a key and returns what may be shown of it. If that fails, nothing is shown: a key in clear would be worse.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from lambda_otel.settings import read_setting

_logger = logging.getLogger("lambda_otel")

_CACHED = 64


class KeyMask:
    """A function named by a setting; looked for when the first key is to be shown, which is after the handler's import.

    Parameters
    ----------
    name : str or None
        `module:function`; None: keys are shown as they are.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._function: Callable[[str], Any] | None = None
        self._has_failed = False
        self._known: dict[str, str | None] = {}  # an object is asked for more than once

    def shown(self, key: str) -> str | None:
        """What may be shown of a key, or None for nothing."""
        if self._name is None:
            return key
        if key in self._known:
            return self._known[key]
        try:
            if self._function is None:
                from lambda_otel.plugins import load

                self._function = load(self._name)
            shown = self._function(key)
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[key] = told = None if shown is None else str(shown)
            return told
        except Exception as error:  # noqa: BLE001  the boundary: code of anybody
            if not self._has_failed:
                self._has_failed = True  # neither the key nor an error's text, which may tell it
                _logger.warning("`%s` failed (%s); keys of objects are not shown", self._name, type(error).__name__)
            return None


@cache
def _mask() -> KeyMask:
    return KeyMask(read_setting("OTEL_LAMBDA_S3_KEY"))


def shown_key(key: str) -> str | None:
    """What telemetry may show of an object's key, by `OTEL_LAMBDA_S3_KEY`; None: nothing."""
    return _mask().shown(key)
