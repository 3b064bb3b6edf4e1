"""Resource detectors to be named in `OTEL_LAMBDA_RESOURCE_DETECTORS`, and examples of how to write one."""
