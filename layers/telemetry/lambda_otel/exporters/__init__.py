"""Exporters beside the Collector's: by a standard name, or any of the SDK's interfaces by `module:Name`."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from lambda_otel._parse import DIRECT
from lambda_otel.export.drops import Drops
from lambda_otel.export.others import OtherExporters
from lambda_otel.plugins import GuardedProcessor, make
from lambda_otel.settings import SIGNALS, Settings

_logger = logging.getLogger("lambda_otel")


def make_others(settings: Settings, processors: Sequence[GuardedProcessor], drops: Drops) -> OtherExporters:
    """All exporters that the settings name beside the Collector's; one that cannot be made is one line in the log."""
    return OtherExporters(
        {
            signal.lower(): [
                (name, exporter)
                for name in settings.other_exporters(signal)
                if (exporter := _make(name, signal, settings, drops)) is not None
            ]
            for signal in SIGNALS
        },
        processors,
        drops,
        budget_s=settings.seconds("OTEL_LAMBDA_EXPORTER_TIMEOUT"),
        max_items=settings["OTEL_BSP_MAX_QUEUE_SIZE"],
    )


def _make(name: str, signal: str, settings: Settings, drops: Drops) -> Any:
    make_own = _OWN.get(name)
    if make_own is None:
        return make(name, f"OTEL_{signal}_EXPORTER")
    try:
        return make_own(signal, settings, drops)
    except (OSError, ValueError) as error:
        _logger.warning("`OTEL_%s_EXPORTER` names `%s`, which is left out: %s", signal, name, error)
        return None


def _console(signal: str, settings: Settings, drops: Drops) -> Any:  # noqa: ARG001  one signature for all
    from lambda_otel.exporters.console import ConsoleExporter

    return ConsoleExporter(signal.lower())


def _file(signal: str, settings: Settings, drops: Drops) -> Any:  # noqa: ARG001
    from lambda_otel.exporters.file import FileExporter

    max_bytes = settings["OTEL_LAMBDA_FILE_EXPORTER_MAX_BYTES"]
    return FileExporter(signal.lower(), settings["OTEL_LAMBDA_FILE_EXPORTER_PATH"], max_bytes=max_bytes)


def _direct(signal: str, settings: Settings, drops: Drops) -> Any:
    from lambda_otel.exporters.otlp_http import OtlpHttpExporter

    return OtlpHttpExporter(signal.lower(), settings.backend(signal), drops)


_OWN: dict[str, Callable[[str, Settings, Drops], Any]] = {"console": _console, "file": _file, DIRECT: _direct}
