"""Every setting of the layer, in one table. Only this module reads the environment.

What a variable of the OpenTelemetry specification means is the specification's; where the layer's default differs, the
table's help says so. The SDK itself reads a few more: samplers, limits and the exemplar filter (see README).
A value that cannot be read is named in one warning and its default used: telemetry never fails the function.
"""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

_logger = logging.getLogger("lambda_otel")

MIB = 2**20


class Endpoint(NamedTuple):
    """Where a signal goes, and what every request of it says.

    Attributes
    ----------
    host : str
    port : int
    path : str
    headers : tuple of (str, str)
    """

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]


def _flag(text: str) -> bool:
    # as the specification has it: all that is not `true` is false
    return text.strip().lower() == "true"


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("expected a whole number, 0 or above")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError("expected a whole number above 0")
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        choice = text.strip().lower()
        if choice not in choices:
            raise ValueError(f"expected {' or '.join(f'`{one}`' for one in choices)}")
        return choice

    return parse


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in _list(text):
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise ValueError("expected `key=value`, comma separated and percent encoded")
        pairs.append((unquote(key.strip()), unquote(value.strip())))
    return tuple(pairs)


def _url(text: str) -> str:
    url = urlsplit(text.strip())
    if url.scheme != "http" or not url.hostname:
        raise ValueError("expected `http://host:port`; TLS is the Collector's")
    return text.strip()


def _dotted(text: str) -> str:
    module, colon, name = text.strip().partition(":")
    if not (colon and module and name):
        raise ValueError("expected `module:function`")
    return text.strip()


class Setting(NamedTuple):
    """One environment variable.

    Attributes
    ----------
    name : str
    parse : callable
        Text to value; raises ValueError with what was expected.
    default : str
        Empty: not set.
    unit : str
    help : str
    """

    name: str
    parse: Callable[[str], Any]
    default: str
    unit: str
    help: str


SETTINGS = (
    Setting(
        "OTEL_SERVICE_NAME", str, "", "", "`service.name`; the function's name if neither this nor the next says it"
    ),
    Setting("OTEL_RESOURCE_ATTRIBUTES", _pairs, "", "", "Further resource attributes, `key=value,...`"),
    Setting(
        "OTEL_PROPAGATORS", _list, "tracecontext,baggage", "", "Of `tracecontext`, `baggage`, `xray`, `xray-lambda`"
    ),
    Setting("OTEL_TRACES_SAMPLER", str, "parentbased_always_on", "", "By the SDK, with `OTEL_TRACES_SAMPLER_ARG`"),
    Setting("OTEL_TRACES_EXPORTER", _one_of("otlp", "none"), "otlp", "", "`otlp` or `none`"),
    Setting("OTEL_METRICS_EXPORTER", _one_of("otlp", "none"), "otlp", "", "`otlp` or `none`"),
    Setting("OTEL_LOGS_EXPORTER", _one_of("otlp", "none"), "otlp", "", "`otlp` or `none`"),
    Setting("OTEL_EXPORTER_OTLP_PROTOCOL", _one_of("http/protobuf"), "http/protobuf", "", "`http/protobuf`"),
    Setting("OTEL_EXPORTER_OTLP_ENDPOINT", _url, "http://127.0.0.1:4318", "", "Where the Collector listens"),
    Setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", _url, "", "", "The whole URL for traces, if another"),
    Setting("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", _url, "", "", "The whole URL for metrics, if another"),
    Setting("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", _url, "", "", "The whole URL for logs, if another"),
    Setting("OTEL_EXPORTER_OTLP_HEADERS", _pairs, "", "", "Headers of every request, `key=value,...`"),
    Setting("OTEL_EXPORTER_OTLP_TRACES_HEADERS", _pairs, "", "", "Headers for traces, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_METRICS_HEADERS", _pairs, "", "", "Headers for metrics, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_LOGS_HEADERS", _pairs, "", "", "Headers for logs, in place of the general ones"),
    Setting("OTEL_EXPORTER_OTLP_TIMEOUT", _positive, "10000", "ms", "A Collector silent for this long is given up"),
    Setting(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        _one_of("delta", "cumulative", "lowmemory"),
        "delta",
        "",
        "`delta` (here the default), `cumulative` or `lowmemory`",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        _one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "explicit_bucket_histogram",
        "",
        "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`",
    ),
    Setting("OTEL_METRIC_EXPORT_INTERVAL", _positive, "60000", "ms", "How often metrics leave a long invocation"),
    Setting("OTEL_BSP_SCHEDULE_DELAY", _positive, "5000", "ms", "How often spans and logs leave a long invocation"),
    Setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", _positive, "512", "spans", "So many leave a long invocation at once"),
    Setting("OTEL_BSP_MAX_QUEUE_SIZE", _positive, "2048", "spans", "More are dropped while no Collector takes them"),
    Setting("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", _positive, "512", "records", "So many leave a long invocation at once"),
    Setting("OTEL_BLRP_MAX_QUEUE_SIZE", _positive, "2048", "records", "More are dropped while no Collector takes them"),
    Setting(
        "OTEL_LAMBDA_ACK_TIMEOUT", _whole, "5", "ms", "How long an export waits for the Collector's acknowledgement"
    ),
    Setting(
        "OTEL_LAMBDA_MAX_PENDING_BYTES", _positive, str(4 * MIB), "bytes", "Encoded and not yet acknowledged, at most"
    ),
    Setting(
        "OTEL_LAMBDA_ANNOUNCE", _flag, "false", "", "Announce open spans; for a Collector that knows announcements"
    ),
    Setting(
        "OTEL_LAMBDA_COLLECTOR_HOST", str, "", "", "Address of the Collector extension: see *Where telemetry goes*"
    ),
    Setting("OTEL_LAMBDA_EVENT_CONTEXT", _dotted, "", "", "`module:function` that finds an event's parent context"),
    Setting("OTEL_LAMBDA_PRELOAD", _list, "", "", "Of `metrics`, `logs`: loaded during INIT and not when first used"),
)

# Where the Collector layer of this repository puts its extension.
COLLECTOR_PATH = "/opt/extensions/collector"

_DEFAULT_PATHS = {"TRACES": "v1/traces", "METRICS": "v1/metrics", "LOGS": "v1/logs"}


class Settings:
    """The values of `SETTINGS`, by name.

    Parameters
    ----------
    env : mapping
        The environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        own = _without_backend(env)
        self._values = {setting.name: _value(setting, own) for setting in SETTINGS}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def seconds(self, name: str) -> float:
        """A setting in ms, as seconds."""
        return float(self._values[name]) / 1e3

    def endpoint(self, signal: str) -> Endpoint:
        """Where `TRACES`, `METRICS` or `LOGS` go: the signal's own URL as it is, or the general one with a path."""
        own = self[f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"]
        url = urlsplit(own or f"{self['OTEL_EXPORTER_OTLP_ENDPOINT'].rstrip('/')}/{_DEFAULT_PATHS[signal]}")
        headers = self[f"OTEL_EXPORTER_OTLP_{signal}_HEADERS"] or self["OTEL_EXPORTER_OTLP_HEADERS"]
        # by address: looking `localhost` up costs 4 ms, for the modules alone
        host = "127.0.0.1" if url.hostname in (None, "localhost") else url.hostname
        return Endpoint(host, url.port or 80, url.path or "/", headers)


def from_environment() -> Settings:
    """The settings of this process."""
    return Settings(os.environ)


def _without_backend(env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment as this layer is to read it: with a Collector, the backend is that one's."""
    host = env.get("OTEL_LAMBDA_COLLECTOR_HOST")
    if not host and not os.path.exists(COLLECTOR_PATH):  # noqa: PTH110  pathlib is 3 ms
        return env
    theirs = [f"OTEL_EXPORTER_OTLP_{part}" for part in ("HEADERS", "PROTOCOL")]
    own = {name: text for name, text in env.items() if name not in theirs}
    return own | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host or '127.0.0.1'}:4318"}


def _value(setting: Setting, env: Mapping[str, str]) -> Any:
    if text := env.get(setting.name):
        try:
            return setting.parse(text)
        except ValueError as error:
            shown = "not as it should be" if setting.name.endswith("_HEADERS") else f"`{text}`"  # headers hold secrets
            _logger.warning("`%s` is %s: %s; its default is used", setting.name, shown, error)
    if setting.default:
        return setting.parse(setting.default)
    return () if setting.parse in (_list, _pairs) else None
