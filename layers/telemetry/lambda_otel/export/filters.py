"""Attribute filters: what `OTEL_LAMBDA_ATTRIBUTE_FILTERS` says must not leave as it is.

They run when an export begins, on copies: whoever sees spans before (the function, its span processors) sees them
whole, whoever sees them after (the Collector, every other exporter) does not. Attributes of spans, their events and
links, and of log records are filtered; bodies of log records, resources and metrics are not.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from hmac import digest
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

_logger = logging.getLogger("lambda_otel")

_HASH_DIGITS = 16  # 64 bits: no two of four billion values are likely to share one
_CACHED_NAMES = 1024
_DROPPED = object()

Action = Callable[[Any], Any]
_Item = TypeVar("_Item", Event, Link)


class Rule(NamedTuple):
    """One filter.

    Attributes
    ----------
    name : str
        Of an attribute, or what it begins with.
    is_prefix : bool
    action : callable or None
        The value's replacement; None: the attribute is dropped.
    """

    name: str
    is_prefix: bool
    action: Action | None

    def is_for(self, name: str) -> bool:
        """Whether it is to be applied to an attribute."""
        return name.startswith(self.name) if self.is_prefix else name == self.name


def parse_rules(text: str, salt: str) -> list[Rule]:
    """The rules of `drop:<name>`, `hash:<name>` and `truncate:<name>:<length>`, comma separated.

    A name that ends in `*` is of all attributes that begin so. A rule that cannot be read is named in the log, and left
    out.

    Parameters
    ----------
    text : str
    salt : str
        Key of the hash (HMAC with SHA-256). Without one, who can guess a value can tell it from its hash.
    """
    rules = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        rule = _rule(item, salt)
        if rule is None:
            expected = "`drop:<name>`, `hash:<name>` or `truncate:<name>:<length>`"
            _logger.warning("`OTEL_LAMBDA_ATTRIBUTE_FILTERS` has `%s`, expected %s; it is left out", item, expected)
        else:
            rules.append(rule)
    return rules


def _rule(item: str, salt: str) -> Rule | None:
    kind, _, name = item.partition(":")
    action: Action | None = None
    if kind == "truncate":
        name, _, length = name.rpartition(":")
        if not length.isdecimal():
            return None
        action = _truncating(int(length))
    elif kind == "hash":
        action = _hashing(salt.encode())
    elif kind != "drop":
        return None
    return Rule(name.removesuffix("*"), name.endswith("*"), action) if name else None


class AttributeFilters:
    """Filtered copies of what is exported; what no rule is for is not copied.

    Parameters
    ----------
    rules : list of Rule
        All that are for an attribute are applied, in this order.
    """

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._actions: dict[str, tuple[Action | None, ...]] = {}
        self._untouched: set[str] = set()  # names that no rule is for, as most are

    def spans(self, spans: Iterable[ReadableSpan]) -> list[ReadableSpan]:
        """Spans, ended or open, as they may leave."""
        return [self._span(span) for span in spans]

    def records(self, records: Iterable["ReadableLogRecord"]) -> list["ReadableLogRecord"]:
        """Log records as they may leave."""
        return [self._record(record) for record in records]

    def _span(self, span: ReadableSpan) -> ReadableSpan:
        attributes = self._filtered(span._attributes)
        events = self._items(span._events, _event_with) if span._events else None
        links = self._items(span._links, _link_with) if span._links else None
        if attributes is None and events is None and links is None:
            return span
        copied = ReadableSpan.__new__(ReadableSpan)
        vars(copied).update(vars(span))
        copied._attributes = span._attributes if attributes is None else attributes
        copied._events = span._events if events is None else events
        copied._links = span._links if links is None else links
        return copied

    def _record(self, readable: "ReadableLogRecord") -> "ReadableLogRecord":
        attributes = self._filtered(readable.log_record.attributes)
        if attributes is None:
            return readable
        record = type(readable.log_record).__new__(type(readable.log_record))
        vars(record).update(vars(readable.log_record))
        record.attributes = attributes
        copied = type(readable).__new__(type(readable))
        vars(copied).update(vars(readable) | {"log_record": record})
        return copied

    def _items(self, items: Sequence[_Item], make: Callable[[_Item, Any], _Item]) -> Sequence[_Item] | None:
        """Events or links; None if they stay as they are."""
        filtered = [(item, self._filtered(item.attributes)) for item in items]
        if all(own is None for _, own in filtered):
            return None
        made = [item if own is None else make(item, own) for item, own in filtered]
        bounded = BoundedList.from_seq(len(made), made)
        bounded.dropped = getattr(items, "dropped", 0)
        return bounded

    def _filtered(self, attributes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Attributes with all rules applied; None if there are none for them."""
        # of an open span another thread may add to them meanwhile
        plain = attributes.copy() if isinstance(attributes, BoundedAttributes) else attributes
        if not plain or self._untouched.issuperset(plain) or not any(map(self._of, plain)):
            return None
        applied = ((name, _applied(self._of(name), value)) for name, value in plain.items())
        bounded = BoundedAttributes(
            attributes={name: value for name, value in applied if value is not _DROPPED}, immutable=True
        )
        bounded.dropped = getattr(attributes, "dropped", 0)  # by the SDK's limits: what a filter drops was not lost
        return bounded

    def _of(self, name: str) -> tuple[Action | None, ...]:
        actions = self._actions.get(name)
        if actions is None:
            if len(self._actions) >= _CACHED_NAMES:
                self._actions.clear()
                self._untouched.clear()
            actions = self._actions[name] = tuple(rule.action for rule in self._rules if rule.is_for(name))
            if not actions:
                self._untouched.add(name)
        return actions


def _event_with(event: Event, attributes: Any) -> Event:
    return Event(event.name, attributes, event.timestamp)


def _link_with(link: Link, attributes: Any) -> Link:
    return Link(link.context, attributes)


def _applied(actions: tuple[Action | None, ...], value: Any) -> Any:
    """A value after all actions; `_DROPPED` if it is to be, or if it cannot be changed as it has to be."""
    try:
        for action in actions:
            if action is None:
                return _DROPPED
            value = action(value)
    except Exception:  # noqa: BLE001  a value's own methods may raise anything; what cannot be hidden does not leave
        return _DROPPED
    return value


def make_filters(text: str, salt: str) -> AttributeFilters | None:
    """Filters by the settings' text; None if there are none in it."""
    rules = parse_rules(text, salt)
    if not salt and "hash:" in text:
        _logger.warning("`hash` filters without `OTEL_LAMBDA_HASH_SALT` hide no value that can be guessed")
    return AttributeFilters(rules) if rules else None


def _truncating(length: int) -> Action:
    def truncate(value: Any) -> Any:
        if isinstance(value, str | bytes):
            return value[:length]
        return [truncate(item) for item in value] if _is_list(value) else value

    return truncate


def _hashing(salt: bytes) -> Action:
    def hashed(value: Any) -> Any:
        if _is_list(value):
            return [hashed(item) for item in value]
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        return digest(salt, data, "sha256").hex()[:_HASH_DIGITS]

    return hashed


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
