"""CPU of a cold start: without telemetry, with our layer, and with the reference layer.

    python benchmarks/coldstart.py --python 3.13 3.11 --runs 25

A real `awslambdaric` is run against a stub Runtime API; CPU is read when the runtime asks for its first event. The
variants are interleaved at random. Ratios are of the CPU over a bare function's; milliseconds are this machine's.
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
BARS = {"traces": 0.10, "three signals": 0.15}
Variant = tuple[list[str | Path], dict[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.13", "3.11"], help="versions to measure")
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--handlers", nargs="+", default=["plain", "with_boto3"], help="modules in `_handlers`")
    parser.add_argument("--stale", action="store_true", help="also the reference without valid byte code")
    args = parser.parse_args()
    with running_sink() as port:
        for version in args.python:
            trees = Trees(version)
            for handler in args.handlers:
                measure(trees, handler, port, args.runs, with_stale=args.stale)
            print_files(trees, port)


def variants(trees: Trees, handler: str, port: int, *, with_stale: bool) -> dict[str, Variant]:
    """What is compared: command and environment of each."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}

    def variant(opt: Path | None, **more: str) -> Variant:
        env = sandbox_env(
            trees.version, runtime=trees.runtime, task=HANDLERS, handler=f"{handler}.handler", opt=opt, **more
        )
        env["PATH"] = f"{trees.python.parent}:{env['PATH']}"
        return [*([opt / "otel-instrument"] if opt else []), trees.python, BOOTSTRAP], env

    found = {
        "bare": variant(None),
        "traces": variant(trees.layer, **endpoint),
        "three signals": variant(trees.layer, OTEL_LAMBDA_PRELOAD="metrics,logs", **endpoint),
        "reference": variant(trees.reference, **endpoint),
        "disabled": variant(trees.layer, OTEL_SDK_DISABLED="true"),
    }
    if with_stale:
        found["reference, stale byte code"] = variant(trees.stale_reference, **endpoint)
    return found


def measure(trees: Trees, handler: str, port: int, runs: int, *, with_stale: bool) -> None:
    """Run all variants and print their table."""
    compared = variants(trees, handler, port, with_stale=with_stale)
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
        f"{'':28}{'ready':>8}{'over bare':>11}{'(quartiles)':>16}{'ratio':>8}{'bar':>6}"
        f"{'1st response':>14}{'1st whole':>11}{'warm response':>15}{'warm whole':>12}"
    )
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
            f"{name:28}{ready:8.1f}{middle:11.1f}{f'({low:.1f}..{high:.1f})':>16}{ratio:>8}{bar:>6}"
            f"{columns[0]:14.2f}{columns[1]:11.2f}{columns[2]:15.2f}{columns[3]:12.2f}"
        )


def print_files(trees: Trees, port: int) -> None:
    """How many files each variant opens until it is ready, and how large the layers are."""
    compared = variants(trees, "plain", port, with_stale=False)
    opened = {name: files_opened(*variant) for name, variant in compared.items()}
    reference = opened["reference"] - opened["bare"]
    print(f"\nPython {trees.version}: files opened until ready")
    for name, count in opened.items():
        over = count - opened["bare"]
        print(f"{name:28}{count:8}{over:11} over bare{over / reference:10.3f}   (bar 0.15)")
    ours, theirs = size_bytes(trees.layer) / 1e6, size_bytes(trees.reference) / 1e6
    print(f"size unpacked, with byte code: ours {ours:.1f} MB (bar 6), reference {theirs:.1f} MB")


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
