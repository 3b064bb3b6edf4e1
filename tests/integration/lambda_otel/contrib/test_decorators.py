"""`instrument` in code, with the wrapper and the official instrumentations."""

import json

import pytest

DECORATED = """
from lambda_otel import instrument


def opaque(function):
    def inner(event, context):
        return function(event, context)
    return inner


DECORATORS
def handler(event, context):
    return "done"
"""


@pytest.mark.parametrize("decorators", ["@instrument", "@opaque\n@instrument", "@instrument\n@opaque"])
def test_decorated_handler_has_one_span_an_invocation(run_contrib, collector, decorators):
    sandbox = run_contrib(DECORATED.replace("DECORATORS", decorators), [{}, {}])

    assert [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"] == ["done"] * 2
    assert [span.name for span in collector.spans()] == ["fn", "fn"]
