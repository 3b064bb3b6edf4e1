"""CloudFormation's intrinsic functions and conditions, resolved without CloudFormation."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from lambda_local.errors import TemplateError

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _NoValue:
    """What `AWS::NoValue` resolves to: the property that holds it is left out."""


NO_VALUE = _NoValue()


class Resolver:
    """Resolves values of one template.

    Parameters
    ----------
    references : callable
        Logical id (or parameter, or pseudo parameter) to what `Ref` gives; raises KeyError for an unknown one.
    attributes : callable
        Logical id and attribute to what `Fn::GetAtt` gives; raises KeyError for an unknown resource.
    conditions, mappings : mapping
        The template's sections.
    """

    def __init__(
        self,
        references: Callable[[str], Any],
        attributes: Callable[[str, str], Any],
        conditions: Mapping[str, Any],
        mappings: Mapping[str, Any],
    ) -> None:
        self._references = references
        self._attributes = attributes
        self._conditions = conditions
        self._mappings = mappings
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::Equals": self._equals,
            "Fn::Not": self._not,
            "Fn::And": self._and,
            "Fn::Or": self._or,
            "Condition": self.is_true,
        }
        self._open_conditions: list[str] = []

    def resolve(self, value: Any) -> Any:
        """`value` with every intrinsic function in it replaced by what it gives.

        Raises
        ------
        TemplateError
            A function is unknown, malformed, or refers to what does not exist.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._functions and not (name == "Condition" and not isinstance(argument, str)):
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"`{name}` is not among the intrinsic functions that are resolved locally")
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def is_true(self, condition: str) -> bool:
        """The value of a condition of the template."""
        if condition in self._open_conditions:
            raise TemplateError(f"condition `{condition}` depends on itself")
        if condition not in self._conditions:
            raise TemplateError(f"condition `{condition}` is not defined")
        self._open_conditions.append(condition)
        try:
            return bool(self.resolve(self._conditions[condition]))
        finally:
            self._open_conditions.pop()

    def _ref(self, name: Any) -> Any:
        try:
            return self._references(name)
        except KeyError as exc:
            raise TemplateError(f"`Ref` names `{name}`, which is neither a parameter nor a resource") from exc

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(parts) != 2:
            raise TemplateError(f"`Fn::GetAtt` expects a resource and an attribute, but has `{argument}`")
        logical_id, attribute = parts[0], self.resolve(parts[1])
        try:
            return self._attributes(logical_id, attribute)
        except KeyError as exc:
            raise TemplateError(f"`Fn::GetAtt` names `{logical_id}`, which is not a resource") from exc

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else self._arguments("Fn::Sub", argument, 2)

        def replacement(match: re.Match[str]) -> str:
            name = match.group(1).strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                value = self.resolve(variables[name])
            elif "." in name:
                value = self._get_att(name)
            else:
                value = self._ref(name)
            return scalar_text(value)

        return _VARIABLE.sub(replacement, text)

    def _join(self, argument: Any) -> str:
        delimiter, items = self._arguments("Fn::Join", argument, 2)
        return str(delimiter).join(scalar_text(item) for item in self.resolve(items))

    def _select(self, argument: Any) -> Any:
        index, items = self._arguments("Fn::Select", argument, 2)
        choices = self.resolve(items)
        try:
            return choices[int(self.resolve(index))]
        except (IndexError, ValueError, TypeError) as exc:
            raise TemplateError(f"`Fn::Select` has no item `{index}` in {len(choices)}") from exc

    def _split(self, argument: Any) -> list[str]:
        delimiter, text = self._arguments("Fn::Split", argument, 2)
        return scalar_text(self.resolve(text)).split(delimiter)

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            raise TemplateError(f"`Fn::FindInMap` expects a map and two keys, but has `{argument}`")
        name, first, second = (self.resolve(part) for part in argument[:3])
        try:
            return self.resolve(self._mappings[name][first][second])
        except KeyError as exc:
            if len(argument) == 4 and "DefaultValue" in argument[3]:
                return self.resolve(argument[3]["DefaultValue"])
            raise TemplateError(f"mapping `{name}` has no `{first}`, `{second}`") from exc

    def _if(self, argument: Any) -> Any:
        condition, when_true, when_false = self._arguments("Fn::If", argument, 3)
        return self.resolve(when_true if self.is_true(condition) else when_false)

    def _equals(self, argument: Any) -> bool:
        left, right = self._arguments("Fn::Equals", argument, 2)
        return scalar_text(self.resolve(left)) == scalar_text(self.resolve(right))

    def _not(self, argument: Any) -> bool:
        return not self.resolve(self._arguments("Fn::Not", argument, 1)[0])

    def _and(self, argument: Any) -> bool:
        return all(self.resolve(item) for item in argument)

    def _or(self, argument: Any) -> bool:
        return any(self.resolve(item) for item in argument)

    @staticmethod
    def _arguments(function: str, argument: Any, count: int) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != count:
            raise TemplateError(f"`{function}` expects a list of {count}, but has `{argument}`")
        return argument


def scalar_text(value: Any) -> str:
    """A value as CloudFormation writes it into a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(scalar_text(item) for item in value)
    return str(value)
