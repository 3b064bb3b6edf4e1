"""CPU of a cold start: without telemetry, with our layer, and with the reference layer.

    python benchmarks/coldstart.py --python 3.13 3.11 --runs 25

A real `awslambdaric` is run against a stub Runtime API; CPU is read when the runtime asks for its first event. The
variants are interleaved at random. Ratios are of the CPU over a bare function's, to the reference's with valid byte
code; one that is over its bar ends the program with an error. Milliseconds are this machine's.
"""

import argparse
import random
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from _sink import running_sink
from _stub_runtime import BOOTSTRAP, Sandbox, run_sandbox, sandbox_env
from _trees import Trees, size_bytes

HANDLERS = Path(__file__).with_name("_handlers")
EVENTS = [{"key": "value"}] * 4
BARS = {"traces": 0.10, "three signals": 0.15, "disabled": 0.02}  # of the reference's CPU over bare
FILES_BAR = 0.15
SIZE_BAR_MB = 6
Variant = tuple[list[str | Path], dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.13", "3.11"], help="versions to measure")
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--handlers", nargs="+", default=["plain", "with_boto3"], help="modules in `_handlers`")
    args = parser.parse_args()
    missed: list[str] = []
    with running_sink() as port:
        for version in args.python:
            trees = Trees(version)
            for handler in args.handlers:
                missed += measure(trees, handler, port, args.runs)
            missed += print_files(trees, port)
    if missed:
        raise SystemExit("over the bar: " + "; ".join(missed))


def variants(trees: Trees, handler: str, port: int) -> dict[str, Variant]:
    """What is compared: command and environment of each."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}

    def variant(opt: Path | None, **more: str) -> Variant:
        env = sandbox_env(
            trees.version, runtime=trees.runtime, task=HANDLERS, handler=f"{handler}.handler", opt=opt, **more
        )
        env["PATH"] = f"{trees.python.parent}:{env['PATH']}"
        return [*([opt / "otel-instrument"] if opt else []), trees.python, BOOTSTRAP], env

    return {
        "bare": variant(None),
        "traces": variant(trees.layer, **endpoint),
        "three signals": variant(trees.layer, OTEL_LAMBDA_PRELOAD="metrics,logs", **endpoint),
        "three signals, contrib": variant(
            trees.contrib, OTEL_LAMBDA_PRELOAD="metrics,logs", OTEL_LAMBDA_INSTRUMENTATION="contrib", **endpoint
        ),
        "reference": variant(trees.reference, **endpoint),
        "reference, no valid byte code": variant(trees.stale_reference, **endpoint),
        "disabled": variant(trees.layer, OTEL_SDK_DISABLED="true"),
    }


def measure(trees: Trees, handler: str, port: int, runs: int) -> list[str]:
    """Run all variants and print their table; gives what is over its bar."""
    compared = variants(trees, handler, port)
    results: dict[str, list[Sandbox]] = {name: [] for name in compared}
    for command, env in compared.values():
        run_sandbox(command, env, EVENTS)
    for _ in range(runs):
        for name in random.sample(list(compared), len(compared)):
            results[name].append(run_sandbox(*compared[name], EVENTS))
    bare = [sandbox.ready_cpu_ms for sandbox in results["bare"]]
    over_bare = {
        name: [sandbox.ready_cpu_ms - statistics.median(bare) for sandbox in sandboxes]
        for name, sandboxes in results.items()
    }
    reference = statistics.median(over_bare["reference"])
    print(f"\nPython {trees.version}, handler `{handler}`, {runs} runs: CPU in ms")
    print(
        f"{'':30}{'ready':>8}{'over bare':>11}{'(quartiles)':>16}{'ratio':>8}{'bar':>6}"
        f"{'1st response':>14}{'1st whole':>11}{'warm response':>15}{'warm whole':>12}"
    )
    missed = []
    for name, sandboxes in results.items():
        over = over_bare[name]
        low, middle, high = statistics.quantiles(over, n=4) if len(over) > 1 else (over[0],) * 3
        ratio = "" if name == "bare" else f"{middle / reference:.3f}"
        bar = f"{BARS[name]:.2f}" if name in BARS else ""
        ready = statistics.median(sandbox.ready_cpu_ms for sandbox in sandboxes)
        columns = (
            statistics.median(sandbox.before_response_cpu_ms(0) for sandbox in sandboxes),
            statistics.median(sandbox.invocation_cpu_ms(0) for sandbox in sandboxes),
            statistics.median(sandbox.before_response_cpu_ms(3) for sandbox in sandboxes),
            statistics.median(sandbox.invocation_cpu_ms(3) for sandbox in sandboxes),
        )
        print(
            f"{name:30}{ready:8.1f}{middle:11.1f}{f'({low:.1f}..{high:.1f})':>16}{ratio:>8}{bar:>6}"
            f"{columns[0]:14.2f}{columns[1]:11.2f}{columns[2]:15.2f}{columns[3]:12.2f}"
        )
        if name in BARS and middle / reference > BARS[name]:
            missed.append(f"{name} on Python {trees.version} with `{handler}`: {middle / reference:.3f}")
    return missed


def print_files(trees: Trees, port: int) -> list[str]:
    """How many files each variant opens until it is ready, and how large the layers are; gives what is over its bar."""
    compared = variants(trees, "plain", port)
    opened = {name: files_opened(*variant) for name, variant in compared.items()}
    reference = opened["reference"] - opened["bare"]
    print(f"\nPython {trees.version}: files opened until ready")
    missed = []
    for name, count in opened.items():
        over = count - opened["bare"]
        bar = f"   (bar {FILES_BAR})" if name in BARS else ""
        print(f"{name:30}{count:8}{over:11} over bare{over / reference:10.3f}{bar}")
        if name in BARS and over / reference > FILES_BAR:
            missed.append(f"files of {name} on Python {trees.version}: {over / reference:.3f}")
    ours, both, theirs = (size_bytes(folder) / 1e6 for folder in (trees.layer, trees.contrib, trees.reference))
    print(
        f"size unpacked, with byte code: ours {ours:.1f} MB (bar {SIZE_BAR_MB}), with contrib {both:.1f} MB, "
        f"reference {theirs:.1f} MB"
    )
    if ours > SIZE_BAR_MB:
        missed.append(f"size on Python {trees.version}: {ours:.1f} MB")
    return missed


def files_opened(command: list[str | Path], env: dict[str, str]) -> int:
    """By strace: every file that is opened with success; folders are none."""
    with tempfile.NamedTemporaryFile("r") as log:
        strace: list[str | Path] = ["strace", "-f", "-qq", "-e", "trace=openat", "-o", log.name]
        try:
            run_sandbox([*strace, *command], env, [])
        except FileNotFoundError:
            raise SystemExit("`strace` is needed to count files (Debian, Ubuntu: apt install strace)") from None
        except subprocess.SubprocessError as error:
            raise SystemExit(f"strace failed: {error}") from error
        calls = (re.search(r"openat\(.*\) = (-?\d+)", line) for line in log if "O_DIRECTORY" not in line)
        return sum(int(call[1]) >= 0 for call in calls if call)


if __name__ == "__main__":
    main()
