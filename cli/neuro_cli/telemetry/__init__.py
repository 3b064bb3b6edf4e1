"""Telemetry on this machine: an OTLP receiver, what it recorded, and the page that shows a scan's trace."""
