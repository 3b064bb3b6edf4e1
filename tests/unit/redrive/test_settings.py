import pytest

from pipeline.errors import ConfigError
from redrive.settings import Source, source_from, target_from

GRAFANA = {
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp.example/otlp/",
    "GRAFANA_CLOUD_INSTANCE_ID": "12",
    "GRAFANA_CLOUD_API_KEY": "key",
}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/telemetry", Source("b", "telemetry/")),
        ("s3://b/a/b/", Source("b", "a/b/")),
        ("s3://b", Source("b", "")),
    ],
)
def test_source_is_read(uri, expected):
    assert source_from({"OTEL_LAMBDA_REDRIVE_URI": uri}) == expected


@pytest.mark.parametrize("env", [{}, {"OTEL_LAMBDA_REDRIVE_URI": "https://b/telemetry"}])
def test_source_that_is_none_is_refused(env):
    with pytest.raises(ConfigError, match="`s3://bucket/prefix`"):
        source_from(env)


def test_target_is_the_standard_endpoint_with_its_headers():
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/x/", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, X-Scope = one=1 ,"}

    target = target_from(env)

    assert (target.endpoint, target.headers) == ("https://c/x", {"a": "b c", "X-Scope": "one=1"})


def test_target_is_grafana_cloud_before_others():
    target = target_from(GRAFANA | {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"})

    assert (target.endpoint, target.headers) == ("https://otlp.example/otlp", {"Authorization": "Basic MTI6a2V5"})


def test_target_does_not_show_its_secrets():
    assert "MTI6a2V5" not in repr(target_from(GRAFANA))


def test_target_may_be_a_collector_on_this_machine_that_is_not_our_own():
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_LAMBDA_COLLECTOR_HOST": "127.1.2.3"}

    assert target_from(env).endpoint == "http://localhost:4318"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4318"}, "to be a URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://"}, "to be a URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:x"}, "to be a URL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, "own Collector"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317/"}, "own Collector"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.1.2.3:4318", "OTEL_LAMBDA_COLLECTOR_HOST": "127.1.2.3"},
            "own Collector",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=b,secret"}, "at header 2"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0ac"}, "at header 1"),
        ({"GRAFANA_CLOUD_OTLP_ENDPOINT": "https://g", "GRAFANA_CLOUD_INSTANCE_ID": "12"}, "GRAFANA_CLOUD_API_KEY"),
    ],
)
def test_target_that_is_none_is_refused(env, said):
    with pytest.raises(ConfigError, match=said) as caught:
        target_from(env)

    assert "secret" not in str(caught.value)
