"""s3transfer, which does boto3's `upload_file`, `download_file`, `copy` in threads: their requests keep their parent.

Only OpenTelemetry's context goes along, not all context variables: those of the function stay as they are without us.
"""

from functools import wraps
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current

_MARK = "_lambda_otel"


def hook(module: Any) -> None:
    """Have the executor of `s3transfer.futures` run every task in the context it was submitted in."""
    executor: Any = module.BoundedExecutor
    original = executor.submit
    if hasattr(original, _MARK):
        return

    @wraps(original)
    def submit(self: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, _Carried(task, get_current()), *args, **kwargs)

    setattr(submit, _MARK, True)
    executor.submit = submit


class _Carried:
    """A task, and the context to run it in."""

    __slots__ = ("_context", "_task")

    def __init__(self, task: Any, context: Context) -> None:
        self._task, self._context = task, context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = attach(self._context)
        try:
            return self._task(*args, **kwargs)
        finally:
            detach(token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)
