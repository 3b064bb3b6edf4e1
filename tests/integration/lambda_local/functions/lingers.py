"""Goes on for a while after it has answered, as a telemetry layer that exports before it asks for the next event."""

import os
import time

from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

_wait_next_invocation = LambdaRuntimeClient.wait_next_invocation
linger_s = 0.0


def wait_next_invocation(self):
    time.sleep(linger_s)
    print("back")  # noqa: T201
    return _wait_next_invocation(self)


LambdaRuntimeClient.wait_next_invocation = wait_next_invocation


def handler(event, context):
    global linger_s  # noqa: PLW0603 - read by the runtime's next question
    linger_s = event["linger_s"]
    return os.getpid()
