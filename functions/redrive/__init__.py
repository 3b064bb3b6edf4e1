"""Telemetry that environments handed over in a bucket -> the backend: after an outage of minutes or of hours."""
