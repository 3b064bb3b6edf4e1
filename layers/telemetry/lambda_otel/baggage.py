"""Baggage: bounded on its way out, and copied to spans and log records where the function's settings name its keys.

Everyone downstream pays for baggage with every request, and a stage that adds a key to what it got makes it grow from
hop to hop. The specification lets it have 8 KB; S3's metadata, which has to hold it too, ends at 2.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from opentelemetry.baggage import _BAGGAGE_KEY, get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import CarrierT, Setter, default_setter
from opentelemetry.sdk.trace import Span, SpanProcessor

from lambda_otel.export.drops import Drops

MAX_KEYS = 10
MAX_BYTES = 1024

_FIELD = "baggage"


class BoundedBaggage(W3CBaggagePropagator):
    """The W3C propagator, that sends at most `MAX_KEYS` keys and `MAX_BYTES` bytes; the rest is counted as dropped.

    Older keys go before newer ones, and one that is too long makes room for those after it. What comes in is not
    bounded, but by the SDK's own limits: it is here already.

    Parameters
    ----------
    drops : Drops
    """

    def __init__(self, drops: Drops) -> None:
        self._drops = drops

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write what is within the bounds."""
        entries = get_all(context)
        if not entries:
            return
        members: list[str] = []
        size = -1  # of the members and the commas between them
        for key, value in entries.items():
            # a space as %20: other languages do not read `+` as one
            member = f"{quote(str(key), safe='')}={quote(str(value), safe='')}"
            if len(members) == MAX_KEYS:
                self._drops.add(_FIELD, "too_many_keys", 1)
            elif size + 1 + len(member) > MAX_BYTES:
                self._drops.add(_FIELD, "too_large", 1)
            else:
                members.append(member)
                size += 1 + len(member)
        if members:
            setter.set(carrier, _FIELD, ",".join(members))


def attributes_from(context: Context | None, keys: tuple[str, ...], present: Mapping[str, Any]) -> dict[str, str]:
    """Named keys of a context's baggage, as attributes; those that are there already stay as they are.

    Parameters
    ----------
    context : Context or None
        None: the current one.
    keys : tuple of str
    present : mapping
        The attributes there are.
    """
    entries = (get_current() if context is None else context).get(_BAGGAGE_KEY)
    if not isinstance(entries, dict):
        return {}
    return {key: str(entries[key]) for key in keys if key in entries and key not in present}


class BaggageAttributes(SpanProcessor):
    """Copies named keys of the baggage to every span that is started under it, where no `SpanQueue` does.

    Parameters
    ----------
    keys : tuple of str
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy them."""
        if added := attributes_from(parent_context, self._keys, span.attributes or {}):
            span.set_attributes(added)
