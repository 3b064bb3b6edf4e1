"""Does what its event says: answers, raises, exits, dies, sleeps, eats memory, prints."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

calls = 0


class DemandedError(Exception):
    pass


def handler(event, context):
    global calls  # noqa: PLW0603 - shows that the process is the same
    calls += 1
    print(f"call {calls}: {event.get('do')}")  # noqa: T201
    action = event.get("do")
    if action == "raise":
        raise DemandedError("as demanded")
    if action == "exit":
        os._exit(3)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "sleep":
        time.sleep(event["s"])
    if action == "spawn":
        # A grandchild in the function's group, which must not outlive it.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"child {child.pid}")  # noqa: T201
        time.sleep(event.get("s", 0))
        return {"pid": os.getpid(), "child": child.pid}
    if action == "eat":
        kept = bytearray(event["mb"] * 1024 * 1024)
        time.sleep(5)
        return len(kept)
    if action == "answer":
        return "x" * event["bytes"]
    if action == "file":
        path = Path(os.environ["TMPDIR"], "kept")
        seen = path.exists()
        path.write_bytes(b"x" * event["bytes"])
        return {"seen": seen, "dir": str(path.parent)}
    if action == "write":
        import boto3

        boto3.client("s3").put_object(Bucket="local-test-result", Key=event["key"], Body=b"")
    if action == "call":
        import boto3

        boto3.client(event["service"]).list_tables()
    return {
        "pid": os.getpid(),
        "calls": calls,
        "request_id": context.aws_request_id,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "client_context": getattr(context.client_context, "custom", None),
        "trace_id": os.environ.get("_X_AMZN_TRACE_ID"),
        "environment": dict(os.environ),
        "path": sys.path,
        "event": event,
    }
