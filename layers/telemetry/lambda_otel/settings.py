"""The settings of the layer, read from the environment; only this module reads it.

A value that cannot be read is named in one warning and its default used: telemetry never fails the function. The SDK
itself reads a few more variables: limits and the exemplar filter (see README).
"""

import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lambda_otel._parse import DIRECT, backend_url, dotted_names, names, pairs, preloadable
from lambda_otel.settings_table import SETTINGS, Setting

_logger = logging.getLogger("lambda_otel")

SIGNALS = ("TRACES", "METRICS", "LOGS")


class Endpoint(NamedTuple):
    """Where a signal goes on its way to the Collector, and what every request of it says.

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


class Backend(NamedTuple):
    """Where a signal goes without a Collector between.

    Attributes
    ----------
    url : str
    headers : tuple of (str, str)
    timeout_s : float
        For one export, with all that is tried again.
    is_compressed : bool
        Whether by gzip.
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    timeout_s: float
    is_compressed: bool


# Where the Collector layer of this repository puts its extension.
COLLECTOR_PATH = "/opt/extensions/collector"

# What names a backend, and not how it is told.
_BACKEND = tuple(
    f"OTEL_EXPORTER_OTLP_{signal}{what}"
    for signal in ("", "TRACES_", "METRICS_", "LOGS_")
    for what in ("ENDPOINT", "HEADERS")
)

_DEFAULT_PATHS = {"TRACES": "v1/traces", "METRICS": "v1/metrics", "LOGS": "v1/logs"}


class Settings:
    """The values of `SETTINGS`, by name.

    Parameters
    ----------
    env : mapping
        The environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
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

    def is_exporting(self, signal: str) -> bool:
        """Whether `TRACES`, `METRICS` or `LOGS` go anywhere."""
        return bool(self[f"OTEL_{signal}_EXPORTER"])

    def is_sending(self, signal: str) -> bool:
        """Whether they go to the Collector."""
        return "otlp" in self[f"OTEL_{signal}_EXPORTER"]

    def other_exporters(self, signal: str) -> tuple[str, ...]:
        """Names of the exporters that get them beside the Collector, or in its place."""
        return tuple(name for name in self[f"OTEL_{signal}_EXPORTER"] if name != "otlp")

    def backend(self, signal: str) -> Backend:
        """Where a signal goes directly: what the variables mean when no Collector stands between.

        Raises
        ------
        ValueError
            They name no backend.
        """
        env = self._env
        own, general = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"), env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        if not own and not general:
            raise ValueError(f"expected `OTEL_EXPORTER_OTLP_ENDPOINT` to name a backend for `{DIRECT}`")
        headers = env.get(f"OTEL_EXPORTER_OTLP_{signal}_HEADERS") or env.get("OTEL_EXPORTER_OTLP_HEADERS") or ""
        return Backend(
            backend_url(own or f"{(general or '').rstrip('/')}/{_DEFAULT_PATHS[signal]}"),
            pairs(headers),
            self.seconds("OTEL_EXPORTER_OTLP_TIMEOUT"),
            self["OTEL_EXPORTER_OTLP_COMPRESSION"] == "gzip",
        )


def read_setting(name: str) -> Any:
    """One setting of this process; for extensions, which are made without arguments."""
    return _value(next(setting for setting in SETTINGS if setting.name == name), os.environ)


def from_environment() -> Settings:
    """The settings of this process."""
    return Settings(os.environ)


def _without_backend(env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment as the way to the Collector is to read it: the backend is the Collector's, or `DIRECT`'s."""
    host = env.get("OTEL_LAMBDA_COLLECTOR_HOST")
    if not host and not os.path.exists(COLLECTOR_PATH):  # noqa: PTH110  pathlib is 3 ms
        is_direct = any(DIRECT in env.get(f"OTEL_{signal}_EXPORTER", "") for signal in _DEFAULT_PATHS)
        return {name: text for name, text in env.items() if not name.startswith(_BACKEND)} if is_direct else env
    theirs = [f"OTEL_EXPORTER_OTLP_{part}" for part in ("HEADERS", "PROTOCOL")]
    own = {name: text for name, text in env.items() if name not in theirs}
    return own | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host or '127.0.0.1'}:4318"}


def _may_be_secret(name: str, text: str) -> bool:
    """Whether a value is not to be shown: headers, and addresses with a password or a token in them."""
    return name.endswith("_HEADERS") or "@" in text or "?" in text


def _value(setting: Setting, env: Mapping[str, str]) -> Any:
    if text := env.get(setting.name):
        try:
            return setting.parse(text)
        except ValueError as error:
            shown = "not as it should be" if _may_be_secret(setting.name, text) else f"`{text}`"
            _logger.warning("`%s` is %s: %s; its default is used", setting.name, shown, error)
    if setting.default:
        return setting.parse(setting.default)
    return () if setting.parse in (names, pairs, dotted_names, preloadable) else None
