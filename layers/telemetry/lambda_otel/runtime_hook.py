"""A place after the response and before the next event, inside AWS's runtime interface client.

Between the two nobody waits for us: the caller has its response, and the environment is frozen only when the next event
is asked for. AWS has no hook there, so the client's method that asks is wrapped; it has had this name and this meaning
from version 1 to 4. Whether the wrapper is alive shows at the first request for an event, before the first invocation:
if that was not seen, the runtime works in another way, and exports are made before the response instead.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

_MODULE = "awslambdaric.lambda_runtime_client"
_METHOD = "wait_next_invocation"


class RuntimeHook:
    """Calls a function before every request for an event.

    Parameters
    ----------
    before_next : callable
    """

    def __init__(self, before_next: Callable[[], None]) -> None:
        self._before_next = before_next
        self.is_alive = False

    def install(self) -> None:
        """Wrap the runtime's client, if there is one; every class of it that has the method itself."""
        module = sys.modules.get(_MODULE)
        for candidate in list(vars(module).values()) if module else ():
            if isinstance(candidate, type) and _METHOD in vars(candidate):
                setattr(candidate, _METHOD, self._wrapped(vars(candidate)[_METHOD]))

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wait_next_invocation(*args: Any, **kwargs: Any) -> Any:
            self.is_alive = True
            self._before_next()
            return method(*args, **kwargs)

        return wait_next_invocation
