"""Where a request came from: `geo.*` of spans that have `client.address`, from a MaxMind-format database.

The address is an API's client or the one who uploaded an object; `geo.*` describes it, to the city. What is nearer to a
person (postal code, coordinates) is in some databases and is not used. Private addresses are nowhere.
"""

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Span, SpanProcessor

from lambda_otel.settings import read_setting

if TYPE_CHECKING:
    from opentelemetry.context import Context

_CACHED_ADDRESSES = 1024
_ADDRESS = "client.address"
_COUNTRY = "geo.country.iso_code"


class GeoEnrichment(SpanProcessor):
    """Adds `geo.continent.code`, `geo.country.iso_code`, `geo.region.iso_code` and `geo.locality.name`.

    A span has to start with its address: the SDK lets nobody change one that ends.

    Parameters
    ----------
    database : str, optional
        Path; that of `OTEL_LAMBDA_GEO_DATABASE`, by default.

    Raises
    ------
    ValueError
        No database is named.
    ImportError
        The package `maxminddb`, which reads it, is not there.
    OSError, maxminddb.InvalidDatabaseError
        It is not there, or is none.
    """

    def __init__(self, database: str | None = None) -> None:
        path = database or read_setting("OTEL_LAMBDA_GEO_DATABASE")
        if not path:
            raise ValueError("expected `OTEL_LAMBDA_GEO_DATABASE` to name a file")
        from maxminddb import open_database

        self._database = open_database(path)
        self._attributes_of = lru_cache(_CACHED_ADDRESSES)(self._look_up)

    def on_start(self, span: Span, parent_context: "Context | None" = None) -> None:  # noqa: ARG002  the SDK's signature
        """Enrich a span that starts with an address."""
        attributes = span.attributes or {}
        address = attributes.get(_ADDRESS)
        if isinstance(address, str) and _COUNTRY not in attributes and (found := self._attributes_of(address)):
            span.set_attributes(found)

    def shutdown(self) -> None:
        """Nothing: the environment lives on, and the next invocation has addresses too."""

    def _look_up(self, text: str) -> dict[str, str]:
        try:
            address = ip_address(text)
        except ValueError:  # a host's name
            return {}
        record: Any = self._database.get(address) if address.is_global else None
        return _geo_attributes(record) if isinstance(record, dict) else {}


def _geo_attributes(record: dict[str, Any]) -> dict[str, str]:
    """What a record of a country or city database says, by the semantic conventions."""
    country = record.get("country", {}).get("iso_code")
    region = next((part.get("iso_code") for part in record.get("subdivisions", ())), None)
    attributes = {
        "geo.continent.code": record.get("continent", {}).get("code"),
        _COUNTRY: country,
        "geo.region.iso_code": f"{country}-{region}" if country and region else None,
        "geo.locality.name": record.get("city", {}).get("names", {}).get("en"),
    }
    return {name: value for name, value in attributes.items() if value}
