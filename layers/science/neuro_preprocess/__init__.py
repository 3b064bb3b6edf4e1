"""Structural MRI preprocessing on plain arrays: no AWS, no telemetry, no clock, no files but NIfTI streams."""

__version__ = "0.1.0"
