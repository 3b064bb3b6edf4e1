"""What telemetry adds to an AWS request: our hook on botocore, with and without the context in what is sent, and the
official instrumentation, which puts none into S3's metadata.

    python benchmarks/aws_request.py --python 3.13

CPU of `put_object` in one process, variants interleaved at random; botocore does all it does but send the request. All
variants use this layer's tracer and queue.
"""

import argparse
import io
import json
import os
import random
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _trees import TELEMETRY, Trees

CALLS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default="3.13", help="version to measure")
    parser.add_argument("--runs", type=int, default=25)
    args = parser.parse_args()
    trees = Trees(args.python)
    folders = (trees.official, trees.runtime, trees.instrumentations, TELEMETRY, Path(__file__).parent)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(map(str, folders)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    command = [trees.python, "-c", f"import aws_request; aws_request.measure({args.runs})"]
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, list[float]] = json.loads(out)
    plain = statistics.median(measured["no telemetry"])
    added = {name: [value - plain for value in values] for name, values in measured.items()}
    official = statistics.median(added["official"])
    print(f"Python {args.python}, {args.runs} runs of {CALLS} requests: CPU of a request in us")
    for name, values in added.items():
        low, _, high = statistics.quantiles(values, n=4)
        median = statistics.median(values)
        print(
            f"{name:18}{plain + median:8.0f}  added {median:5.1f} ({low:.0f} to {high:.0f})  {median / official:5.2f}"
        )


def measure(runs: int) -> None:
    """In a process of the Python that is measured: make requests, print their CPU as JSON."""
    from time import process_time

    import boto3
    from botocore.awsrequest import AWSResponse
    from botocore.client import BaseClient
    from botocore.endpoint import Endpoint
    from opentelemetry import trace
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    from lambda_otel import aws, bootstrap
    from lambda_otel.export.drops import Drops
    from lambda_otel.settings import Settings

    os.environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "botocore"  # hooked below, in each way in turn
    telemetry: Any = bootstrap._start()

    class Body(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield b""

    s3 = boto3.client("s3")
    s3.meta.events.register(
        "before-send.s3", lambda request, **_: AWSResponse(request.url, 200, {"x-amz-request-id": "R"}, Body())
    )
    # what either replaces; the official one writes X-Ray's header, too, when a request is prepared
    plain = vars(BaseClient)["_make_api_call"], vars(Endpoint)["prepare_request"]

    def use(methods: tuple[Any, Any]) -> None:
        BaseClient._make_api_call, Endpoint.prepare_request = methods

    def hooked(hook: Callable[[], None]) -> tuple[Any, Any]:
        use(plain)
        hook()
        return vars(BaseClient)["_make_api_call"], vars(Endpoint)["prepare_request"]

    variants = {
        "no telemetry": plain,
        "span": hooked(lambda: aws.install(Settings({"OTEL_LAMBDA_AWS_INJECT": "none"}), Drops())),
        "span and context": hooked(lambda: aws.install(Settings({}), Drops())),
        "official": hooked(lambda: BotocoreInstrumentor().instrument(skip_dep_check=True)),
    }
    measured: dict[str, list[float]] = {name: [] for name in variants}
    with trace.get_tracer("benchmark").start_as_current_span("invocation"):
        for run in range(runs + 1):
            for name in random.sample(list(variants), len(variants)):
                use(variants[name])
                started = process_time()
                for _ in range(CALLS):
                    s3.put_object(Bucket="bucket", Key="some/key", Body=b"x", Metadata={"colour": "red"})
                if run:  # the first warms up
                    measured[name].append((process_time() - started) / CALLS * 1e6)
                telemetry._spans.take()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
