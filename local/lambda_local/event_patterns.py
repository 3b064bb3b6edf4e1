"""EventBridge event patterns: which events a rule is for."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from lambda_local.errors import TemplateError

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}
_OPERATORS = frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard", "exists", "anything-but", "numeric"})
_MISSING = object()


class EventPattern:
    """A pattern of an EventBridge rule.

    Parameters
    ----------
    pattern : mapping
        As in `EventPattern` of a template. Values, `prefix`, `suffix`, `equals-ignore-case`, `wildcard`, `exists`,
        `anything-but`, `numeric` and `$or` are understood.

    Raises
    ------
    TemplateError
        The pattern uses another operator, or is not of the required form.
    """

    def __init__(self, pattern: Mapping[str, Any]) -> None:
        _check(pattern, "")
        self._pattern = pattern

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is one the rule is for."""
        return _matches_fields(self._pattern, event)


def _check(pattern: Any, path: str) -> None:
    if not isinstance(pattern, Mapping):
        raise TemplateError(f"event pattern at `{path or '.'}` is `{pattern}`; expected fields")
    for name, wanted in pattern.items():
        here = f"{path}.{name}"
        if name == "$or":
            for alternative in wanted:
                _check(alternative, here)
        elif isinstance(wanted, list):
            for condition in wanted:
                if isinstance(condition, Mapping) and set(condition) - _OPERATORS:
                    raise TemplateError(
                        f"event pattern at `{here}` uses `{next(iter(condition))}`, which is not emulated"
                    )
        else:
            _check(wanted, here)


def _matches_fields(pattern: Mapping[str, Any], event: Any) -> bool:
    if not isinstance(event, Mapping):
        return False
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(_matches_fields(alternative, event) for alternative in wanted):
                return False
        elif isinstance(wanted, list):
            value = event.get(name, _MISSING)
            # An array in the event matches when one of its items does.
            values = value if isinstance(value, list) else [value]
            if not any(_matches_value(condition, item) for condition in wanted for item in values):
                return False
        elif not _matches_fields(wanted, event.get(name)):
            return False
    return True


def _matches_value(condition: Any, value: Any) -> bool:
    if not isinstance(condition, Mapping):
        return type(value) is type(condition) and bool(value == condition)
    operator, operand = next(iter(condition.items()))
    if operator == "exists":
        return bool((value is not _MISSING) == operand)
    if value is _MISSING:
        return False
    if operator == "anything-but":
        return not _is_excluded(operand, value)
    if operator == "numeric":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        bounds = zip(operand[::2], operand[1::2], strict=True)
        return is_number and all(_COMPARISONS[sign](value, bound) for sign, bound in bounds)
    return isinstance(value, str) and _matches_text(operator, operand, value)


def _is_excluded(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        return _matches_value(operand, value)
    return value in (operand if isinstance(operand, list) else [operand])


def _matches_text(operator: str, operand: Any, text: str) -> bool:
    if isinstance(operand, Mapping):  # {"prefix": {"equals-ignore-case": "..."}}
        operand, text = str(operand["equals-ignore-case"]).lower(), text.lower()
    if operator == "prefix":
        return text.startswith(operand)
    if operator == "suffix":
        return text.endswith(operand)
    if operator == "equals-ignore-case":
        return text.lower() == str(operand).lower()
    return re.fullmatch(".*".join(re.escape(part) for part in operand.split("*")), text, re.DOTALL) is not None
