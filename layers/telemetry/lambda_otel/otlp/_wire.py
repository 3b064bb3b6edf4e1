"""Protobuf's wire format, and the messages all signals share: values, attributes, resource, scope.

Fields follow opentelemetry-proto 1.x; a field number stands beside its name where it is used. A field that holds its
type's zero is not written, except where protobuf keeps its presence (`oneof`, `optional`, messages).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Protocol, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

fixed64 = Struct("<Q").pack
sfixed64 = Struct("<q").pack
fixed32 = Struct("<I").pack
double = Struct("<d").pack

_ONE_BYTE = [bytes((number,)) for number in range(128)]
_INT64_MIN, _INT64_MAX, _UINT64_MASK = -(2**63), 2**63 - 1, 2**64 - 1
_CACHED = 1024  # entries a cache may hold
_LONGEST_CACHED = 64  # letters of a value


class Losses:
    """What an encoder had to leave out.

    Attributes
    ----------
    items : int
        Spans, log records or data points.
    attributes : int
        Of items that were written without them.
    """

    def __init__(self) -> None:
        self.items = 0
        self.attributes = 0


def varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte, the lowest first."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | wire_type)


def delimited(before: bytes, content: bytes) -> bytes:
    """A field of known length: string, bytes, message or packed numbers."""
    size = len(content)
    return before + (_ONE_BYTE[size] if size < 128 else varint(size)) + content


def text(before: bytes, value: str | None) -> bytes:
    """A string field; nothing if empty. Lone surrogates, which UTF-8 cannot hold, become `?`."""
    return delimited(before, value.encode("utf-8", "replace")) if value else b""


def count(before: bytes, value: int) -> bytes:
    """An unsigned varint field; nothing if 0."""
    return before + varint(value) if value else b""


_STRING = tag(1, LENGTH)
_BOOL = tag(2, VARINT)
_INT = tag(3, VARINT)
_DOUBLE = tag(4, FIXED64)
_ARRAY = tag(5, LENGTH)
_KEY_VALUES = tag(6, LENGTH)
_BYTES = tag(7, LENGTH)
_TRUE, _FALSE = _BOOL + b"\x01", _BOOL + b"\x00"

_FIRST = tag(1, LENGTH)
_KEY, _VALUE = tag(1, LENGTH), tag(2, LENGTH)


def any_value(value: Any) -> bytes:
    """Content of an AnyValue.

    Raises
    ------
    TypeError, OverflowError
        OTLP has no place for the value.
    """
    kind = type(value)
    if kind is str:
        return delimited(_STRING, value.encode("utf-8", "replace"))
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is int:
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise OverflowError("expected a number of 64 bits")
        return _INT + varint(value & _UINT64_MASK)
    if kind is float:
        return _DOUBLE + double(value)
    if value is None:
        return b""
    return _uncommon_value(value)


def _uncommon_value(value: Any) -> bytes:
    for base in (str, int, float):
        if isinstance(value, base):
            return any_value(base(value))
    if isinstance(value, bytes):
        return delimited(_BYTES, value)
    if isinstance(value, Sequence):
        return delimited(_ARRAY, b"".join([delimited(_FIRST, any_value(item)) for item in value]))
    if isinstance(value, Mapping):
        return delimited(_KEY_VALUES, b"".join([_FIRST + _key_value(str(key), item) for key, item in value.items()]))
    raise TypeError(f"expected a value of OTLP, but it is a `{type(value).__name__}`")


_keys: dict[str, bytes] = {}


def _key(name: str) -> bytes:
    encoded = delimited(_KEY, name.encode("utf-8", "replace")) if name else b""
    if len(_keys) < _CACHED:
        _keys[name] = encoded
    return encoded


_texts: dict[tuple[str, str], bytes] = {}


def _key_value(name: str, value: Any) -> bytes:
    """A KeyValue message with its length before it."""
    return delimited(b"", (_keys.get(name) or _key(name)) + delimited(_VALUE, any_value(value)))


def _key_text(name: str, value: str) -> bytes:
    any_text = delimited(_STRING, value.encode("utf-8", "replace"))
    encoded = delimited(b"", (_keys.get(name) or _key(name)) + delimited(_VALUE, any_text))
    if len(value) <= _LONGEST_CACHED:
        if len(_texts) >= _CACHED:
            _texts.clear()
        _texts[name, value] = encoded
    return encoded


def attributes(before: bytes, pairs: Mapping[str, Any] | None, losses: Losses | None = None) -> bytes:
    """KeyValue messages, one a pair.

    Parameters
    ----------
    before : bytes
        Tag of the repeated field.
    pairs : mapping or None
    losses : Losses, optional
        If given, a pair without a place in OTLP is left out and counted; else it raises.
    """
    if losses is not None:
        return _attributes_with_care(before, pairs, losses) if pairs else b""
    # the SDK's own mapping is slow to walk, and its copy is a plain dict; most values are words that come again
    plain: Mapping[str, Any] | None = pairs.copy() if pairs is not None and hasattr(pairs, "copy") else pairs
    if not plain:
        return b""
    encoded = [
        (_texts.get((name, value)) or _key_text(name, value)) if type(value) is str else _key_value(name, value)
        for name, value in plain.items()
    ]
    return before + before.join(encoded)


def _attributes_with_care(before: bytes, pairs: Mapping[str, Any], losses: Losses) -> bytes:
    out = []
    for name, value in pairs.items():
        try:
            out.append(before + _key_value(name, value))
        except Exception:  # noqa: BLE001  a value's own methods may raise anything
            losses.attributes += 1
    return b"".join(out)


_RESOURCE, _SCOPE_DATA, _SCHEMA_URL = tag(1, LENGTH), tag(2, LENGTH), tag(3, LENGTH)
_SCOPE, _ITEM = tag(1, LENGTH), tag(2, LENGTH)
_NAME, _VERSION, _SCOPE_ATTRIBUTES = tag(1, LENGTH), tag(2, LENGTH), tag(3, LENGTH)

_resources: dict[int, tuple[Resource, bytes]] = {}
_scopes: dict[int, tuple[InstrumentationScope, bytes]] = {}


def resource_field(resource: Resource) -> bytes:
    """Field 1 of a `Resource...` message. Found by identity: an equal resource is no cheaper to find than to encode."""
    known = _resources.get(id(resource))
    if known is None or known[0] is not resource:
        if len(_resources) >= _CACHED:
            _resources.clear()
        known = (resource, delimited(_RESOURCE, attributes(_FIRST, resource.attributes, Losses())))
        _resources[id(resource)] = known
    return known[1]


def scope_field(scope: InstrumentationScope | None) -> bytes:
    """Field 1 of a `Scope...` message."""
    if scope is None:
        return delimited(_SCOPE, b"")
    known = _scopes.get(id(scope))
    if known is None or known[0] is not scope:
        if len(_scopes) >= _CACHED:
            _scopes.clear()
        content = text(_NAME, scope.name) + text(_VERSION, scope.version)
        known = (scope, delimited(_SCOPE, content + attributes(_SCOPE_ATTRIBUTES, scope.attributes, Losses())))
        _scopes[id(scope)] = known
    return known[1]


def scope_data(scope: InstrumentationScope | None, items: Iterable[bytes]) -> bytes:
    """Field 2 of a `Resource...` message: one scope and its encoded items, each with its tag."""
    schema_url = text(_SCHEMA_URL, scope.schema_url) if scope else b""
    return delimited(_SCOPE_DATA, scope_field(scope) + b"".join(items) + schema_url)


def resource_data(resource: Resource, scopes: Iterable[bytes]) -> bytes:
    """One `Resource...` message, as field 1 of the request."""
    return delimited(_FIRST, resource_field(resource) + b"".join(scopes) + text(_SCHEMA_URL, resource.schema_url))


class Item(Protocol):
    """What spans and log records have in common."""

    @property
    def resource(self) -> Any: ...

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None: ...


_Item = TypeVar("_Item", bound=Item)


def request(items: Iterable[_Item], encode: Callable[[_Item, Losses | None], bytes]) -> tuple[bytes, Losses]:
    """Body of a request: the items by resource and scope, each in the order it came.

    Parameters
    ----------
    items : iterable
    encode : callable
        One item to its message. Called with None it may raise; called with losses it leaves out what it can spare.
    """
    losses = Losses()
    groups = _Groups()
    lists: dict[tuple[int, int], list[bytes]] = {}
    for item in items:
        try:
            encoded = encode(item, None)
        except Exception:  # noqa: BLE001  a value's own methods may raise anything; once more, with care
            salvaged = _salvage(item, encode, losses)
            if salvaged is None:
                continue
            encoded = salvaged
        resource, scope = item.resource, item.instrumentation_scope
        # by identity first: an equal resource is found by comparing all of it
        own = lists.get((id(resource), id(scope)))
        if own is None:
            own = lists[id(resource), id(scope)] = groups.of(resource, scope)
        own.append(delimited(_ITEM, encoded))
    return groups.encoded(), losses


class _Groups:
    """Encoded items, by resource and scope."""

    def __init__(self) -> None:
        self._resources: list[tuple[Resource, dict[InstrumentationScope | None, list[bytes]]]] = []

    def of(self, resource: Resource, scope: InstrumentationScope | None) -> list[bytes]:
        """The items of a resource and scope, or of equal ones."""
        for other, scopes in self._resources:
            if other is resource or other == resource:
                return scopes.setdefault(scope, [])
        items: list[bytes] = []
        self._resources.append((resource, {scope: items}))
        return items

    def encoded(self) -> bytes:
        body = [
            resource_data(resource, [scope_data(scope, items) for scope, items in scopes.items()])
            for resource, scopes in self._resources
        ]
        return b"".join(body)


def _salvage(item: _Item, encode: Callable[[_Item, Losses | None], bytes], losses: Losses) -> bytes | None:
    try:
        return encode(item, losses)
    except Exception:  # noqa: BLE001  as above
        losses.items += 1
        return None
