import logging
import re
from pathlib import Path

import pytest

from lambda_otel.settings import Settings, read_setting
from lambda_otel.settings_table import SETTINGS

README = Path(__file__).resolve().parents[3] / "layers" / "telemetry" / "README.md"


def test_settings_without_an_environment_are_the_defaults():
    settings = Settings({})

    assert settings.endpoint("TRACES") == ("127.0.0.1", 4318, "/v1/traces", ())
    assert settings["OTEL_PROPAGATORS"] == ("tracecontext", "baggage")
    assert settings["OTEL_RESOURCE_ATTRIBUTES"] == ()
    assert settings.seconds("OTEL_LAMBDA_ACK_TIMEOUT") == 0.005


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:80/base/"}, ("collector", 80, "/base/v1/logs", ())),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, ("127.0.0.1", 4318, "/v1/logs", ())),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here"}, ("here", 80, "/v1/logs", ())),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a:1/as/it/is"}, ("a", 1, "/as/it/is", ())),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a:1"}, ("a", 1, "/", ())),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "k=v%20w, x = y"}, ("127.0.0.1", 4318, "/v1/logs", (("k", "v w"), ("x", "y")))),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "k=v", "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "own=1"},
            ("127.0.0.1", 4318, "/v1/logs", (("own", "1"),)),
        ),
    ],
)
def test_endpoint_is_as_the_specification_says(env, expected):
    assert Settings(env).endpoint("LOGS") == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_LAMBDA_ACK_TIMEOUT", "-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nothing"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
        ("OTEL_LAMBDA_EVENT_CONTEXT", "module.function"),
        ("OTEL_LAMBDA_EVENT_CONTEXT", "module:function,other"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin"),
        ("OTEL_TRACES_EXPORTER", " , "),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "often"),
        ("OTEL_LAMBDA_SPAN_PROCESSORS", "module"),
        ("OTEL_LAMBDA_HTTP_API_ENDPOINT", "ftp://api"),
    ],
)
def test_bad_value_is_named_once_and_the_default_used(name, value, caplog):
    settings = Settings({name: value})

    assert settings[name] == Settings({})[name]
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"`{name}` is `{value}`" in record.getMessage()


def test_bad_headers_are_not_shown(caplog):
    Settings({"OTEL_EXPORTER_OTLP_HEADERS": "Bearer sesame"})

    assert "OTEL_EXPORTER_OTLP_HEADERS" in caplog.text
    assert "sesame" not in caplog.text


def test_every_setting_is_in_the_readme_with_its_default():
    rows = dict(re.findall(r"^\| `(OTEL_\w+)` \| ([^|]*) \|", README.read_text(), re.MULTILINE))

    for setting in SETTINGS:
        shown = f"`{setting.default}`{f' {setting.unit}' if setting.unit else ''}" if setting.default else ""
        assert rows[setting.name].strip() == shown


def test_endpoint_is_the_collectors_where_one_stands_between(monkeypatch, tmp_path, caplog):
    backend = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://backend",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret=1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    named = Settings(backend | {"OTEL_LAMBDA_COLLECTOR_HOST": "127.1.2.3"})
    assert named.endpoint("TRACES") == ("127.1.2.3", 4318, "/v1/traces", ())
    monkeypatch.setattr("lambda_otel.settings.COLLECTOR_PATH", str(tmp_path))
    assert Settings(backend).endpoint("LOGS") == ("127.0.0.1", 4318, "/v1/logs", ())
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "names", "is_sending", "others"),
    [
        (None, ("otlp",), True, ()),
        ("none", (), False, ()),
        ("otlp,none", (), False, ()),
        ("console", ("console",), False, ("console",)),
        ("otlp, file, mine:Exporter, file", ("otlp", "file", "mine:Exporter"), True, ("file", "mine:Exporter")),
    ],
)
def test_exporters_are_a_list_of_names(text, names, is_sending, others):
    settings = Settings({"OTEL_TRACES_EXPORTER": text} if text else {})

    assert settings["OTEL_TRACES_EXPORTER"] == names
    assert settings.is_exporting("TRACES") is bool(names)
    assert settings.is_sending("TRACES") is is_sending
    assert settings.other_exporters("TRACES") == others


def test_direct_exporter_has_the_backend_and_the_collector_its_usual_address(caplog):
    env = {
        "OTEL_TRACES_EXPORTER": "otlp,otlp_http_direct",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://backend/otlp/",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20eA==",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
    }
    settings = Settings(env)

    assert settings.backend("LOGS") == (
        "https://backend/otlp/v1/logs",
        (("authorization", "Basic eA=="),),
        3.0,
        True,
    )
    assert settings.endpoint("TRACES") == ("127.0.0.1", 4318, "/v1/traces", ())
    own = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://l/as/it/is", "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "k=v"}
    assert Settings(env | own | {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}).backend("LOGS") == (
        "https://l/as/it/is",
        (("k", "v"),),
        3.0,
        False,
    )
    assert not caplog.records


def test_direct_exporter_has_the_backend_beside_a_collector_extension_too():
    env = {
        "OTEL_LAMBDA_COLLECTOR_HOST": "127.1.2.3",
        "OTEL_TRACES_EXPORTER": "otlp,otlp_http_direct",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://backend",
    }

    assert Settings(env).backend("TRACES").url == "https://backend/v1/traces"
    assert Settings(env).endpoint("TRACES").host == "127.1.2.3"


@pytest.mark.parametrize("endpoint", [None, "backend:4318", "ftp://backend"])
def test_direct_exporter_without_a_backend_is_an_error(endpoint):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}

    with pytest.raises(ValueError, match="expected"):
        Settings(env).backend("TRACES")


def test_one_setting_can_be_read_by_itself(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_LAMBDA_HTTP_API_BATCH_SIZE", "7")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "nonsense")

    assert read_setting("OTEL_LAMBDA_HTTP_API_BATCH_SIZE") == 7
    assert not caplog.records
