"""One JSON object a line, by Powertools, with the trace it belongs to."""

import logging
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from opentelemetry import trace


class _Formatter(LambdaPowertoolsFormatter):
    """Powertools' own, with the ids of the current span: Loki and CloudWatch users find the trace by them."""

    def serialize(self, log: Any) -> str:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            log["trace_id"] = trace.format_trace_id(context.trace_id)
            log["span_id"] = trace.format_span_id(context.span_id)
        return super().serialize(log)


@cache
def logger() -> Logger:
    """The logger of this process. The function's `ApplicationLogLevel` sets its level."""
    formatter = _Formatter(
        use_rfc3339=True, utc=True, serialize_stacktrace=False, log_record_order=["timestamp", "level", "message"]
    )
    return Logger(service="neuro-preprocess", logger_formatter=formatter)


def begin_invocation(stage: str, lambda_context: Any) -> Logger:
    """Forget what the last invocation of this environment appended, and say which one this is."""
    log = logger()
    log.clear_state()
    log.append_keys(stage=stage, aws_request_id=getattr(lambda_context, "aws_request_id", ""))
    return log


def quiet_sdk() -> None:
    """Hear of trouble only from botocore.

    With JSON logs the runtime lets all of `ApplicationLogLevel` through, and botocore tells at INFO where each client
    found what it was made with: two lines a cold start.
    """
    logging.getLogger("botocore").setLevel(logging.WARNING)
