"""Span processors to be named in `OTEL_LAMBDA_SPAN_PROCESSORS`, and examples of how to write one."""
