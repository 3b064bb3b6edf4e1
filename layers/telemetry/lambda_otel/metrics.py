"""Metrics: the SDK's meter provider, loaded when the first meter is asked for, and read when an export asks."""

from threading import Lock
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Meter, MeterProvider

from lambda_otel.export.pace import Pace
from lambda_otel.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import Attributes

    from lambda_otel._meter import SdkMeters


class LazyMeterProvider(MeterProvider):
    """Stands for the SDK's `MeterProvider`, and makes it when it is first used: it costs 12 ms of a cold start.

    Parameters
    ----------
    settings : Settings
    resource : Resource
    pace : Pace
    """

    def __init__(self, settings: Settings, resource: "Resource", pace: Pace) -> None:
        self._settings, self._resource, self._pace = settings, resource, pace
        self._meters: SdkMeters | None = None
        self._is_foreign = False
        self._lock = Lock()

    def load(self) -> "SdkMeters":
        """The SDK's provider and its reader; one, however many threads ask at once."""
        if self._meters is None:
            with self._lock:
                if self._meters is None:
                    from lambda_otel._meter import SdkMeters

                    self._meters = SdkMeters(self._settings, self._resource)
        return self._meters

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: "Attributes" = None,
    ) -> Meter:
        """A meter of the SDK."""
        return self.load().provider.get_meter(name, version, schema_url, attributes)

    def take(self) -> "MetricsData | None":
        """What was measured since the last time; None if nothing was."""
        data = self._meters.take() if self._meters else None
        if self._is_foreign:
            self._is_foreign, data = False, None
        return data

    def forget(self) -> None:
        """Leave out what is there: after a fork it is the parent's, which counts it too."""
        self._is_foreign, self._lock = self._meters is not None, Lock()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  the SDK's signature
        """Export what was measured."""
        self._pace.flush()
        return True

    def shutdown(self, timeout_millis: float = 30_000) -> None:  # noqa: ARG002  the SDK's signature
        """Export what was measured. The environment lives on: the next invocation has metrics too."""
        self._pace.flush()

    def __getattr__(self, name: str) -> Any:
        """All else is the SDK provider's."""
        return getattr(self.load().provider, name)
