import sys

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv._incubating.attributes import client_attributes, geo_attributes

from lambda_otel.plugins import make
from lambda_otel.processors.geo import GeoEnrichment

GENEVA = {
    "continent": {"code": "EU"},
    "country": {"iso_code": "CH", "names": {"en": "Switzerland"}},
    "subdivisions": [{"iso_code": "GE"}],
    "city": {"names": {"en": "Geneva", "de": "Genf"}},
    "postal": {"code": "1201"},
    "location": {"latitude": 46.2, "longitude": 6.14},
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    writer = MMDBWriter(6, "Test-City", languages=["en", "de"], ipv4_compatible=True)
    writer.insert_network(IPSet(["192.0.2.0/24", "185.70.40.0/24"]), GENEVA)
    writer.insert_network(IPSet(["2a00:1450::/32"]), {"country": {"iso_code": "IE"}})
    writer.insert_network(IPSet(["10.0.0.0/8"]), GENEVA)
    path = tmp_path_factory.mktemp("geo") / "city.mmdb"
    writer.to_db_file(str(path))
    return str(path)


@pytest.fixture
def tracer(database):
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    processor = GeoEnrichment(database)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("t")
    tracer.geo = processor
    return tracer


def geo(span):
    return {name: value for name, value in span.attributes.items() if name.startswith("geo.")}


def test_span_with_an_address_says_where_it_is_when_it_starts(tracer):
    span = tracer.start_span("s", attributes={"client.address": "185.70.40.9"})

    assert geo(span) == {
        "geo.continent.code": "EU",
        "geo.country.iso_code": "CH",
        "geo.region.iso_code": "CH-GE",
        "geo.locality.name": "Geneva",
    }
    span.end()


def test_names_are_the_conventions():
    conventions = {value for name, value in vars(geo_attributes).items() if name.isupper()}

    assert {"geo.continent.code", "geo.country.iso_code", "geo.region.iso_code", "geo.locality.name"} <= conventions
    assert client_attributes.CLIENT_ADDRESS == "client.address"


def test_span_without_an_address_is_left_alone(tracer):
    span = tracer.start_span("s", attributes={"a": 1})
    span.end()

    assert dict(span.attributes) == {"a": 1}


def test_country_alone_is_said_alone_and_ipv6_is_known(tracer):
    span = tracer.start_span("s", attributes={"client.address": "2a00:1450::1"})

    assert geo(span) == {"geo.country.iso_code": "IE"}
    span.end()


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "192.0.2.1", "127.0.0.1", "8.8.8.8", "s3.amazonaws.com", "", "185.70.40.9:443", "::1", ("1.1.1.1",)],
)
def test_private_unknown_and_no_addresses_are_nowhere(tracer, address):
    span = tracer.start_span("s", attributes={"client.address": address})
    span.end()

    assert geo(span) == {}


def test_span_that_says_where_it_is_keeps_that(tracer):
    span = tracer.start_span("s", attributes={"client.address": "185.70.40.9", "geo.country.iso_code": "FR"})
    span.end()

    assert geo(span) == {"geo.country.iso_code": "FR"}


def test_address_is_looked_up_once_and_not_all_are_remembered(tracer):
    for number in range(1500):
        tracer.start_span("s", attributes={"client.address": f"185.70.{number // 250}.{number % 250}"}).end()
    for _ in range(3):
        tracer.start_span("s", attributes={"client.address": "185.70.5.249"}).end()

    info = tracer.geo._attributes_of.cache_info()
    assert info.misses == 1500
    assert info.currsize == info.maxsize == 1024


@pytest.mark.parametrize("path", ["/nowhere/city.mmdb", None, __file__])
def test_database_that_is_not_there_or_none_is_one_line(path, monkeypatch, caplog):
    monkeypatch.delenv("OTEL_LAMBDA_GEO_DATABASE", raising=False)
    if path:
        monkeypatch.setenv("OTEL_LAMBDA_GEO_DATABASE", path)

    assert make("lambda_otel.processors.geo:GeoEnrichment", "OTEL_LAMBDA_SPAN_PROCESSORS") is None
    assert len(caplog.records) == 1


def test_package_that_is_not_there_is_one_line(database, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    monkeypatch.setenv("OTEL_LAMBDA_GEO_DATABASE", database)

    assert make("lambda_otel.processors.geo:GeoEnrichment", "OTEL_LAMBDA_SPAN_PROCESSORS") is None
    (record,) = caplog.records
    assert "maxminddb" in record.getMessage()
