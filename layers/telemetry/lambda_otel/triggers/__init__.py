"""What invoked the function, told from the event: a module a kind of event, first match wins.

Each module has `is_match(event)` and `describe(event)`, which gives a `Trigger`. To add one, write it and name it in
`_MODULES`, under a field that all events of its kind have.
"""

import logging
from collections.abc import Mapping
from typing import Any

from lambda_otel.triggers import alb, api_gateway, eventbridge, http_api, s3, sns, sqs
from lambda_otel.triggers._trigger import OTHER, Trigger

_logger = logging.getLogger("lambda_otel")

_MODULES = (
    ("Records", (s3, sqs, sns)),
    ("requestContext", (http_api, api_gateway, alb)),
    ("detail-type", (s3, eventbridge)),
)


def trigger_of(event: Any) -> Trigger:
    """What an event says of its origin. An event that only looks like one of a kind, and is not, is of none."""
    if not isinstance(event, Mapping):
        return OTHER
    for field, modules in _MODULES:
        if field not in event:
            continue
        for module in modules:
            try:
                if module.is_match(event):
                    described: Trigger = module.describe(event)
                    return described
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                _logger.debug("the event looks like one of `%s` and is not", module.__name__, exc_info=True)
    return OTHER
