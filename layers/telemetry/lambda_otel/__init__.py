"""OpenTelemetry for Python functions on AWS Lambda: genuine API and SDK, at a tenth of the usual cold start.

As a layer: `AWS_LAMBDA_EXEC_WRAPPER=/opt/otel-instrument`. In code: `from lambda_otel import instrument`.
"""

from lambda_otel.bootstrap import instrument
from lambda_otel.version import __version__

__all__ = ["__version__", "instrument"]
