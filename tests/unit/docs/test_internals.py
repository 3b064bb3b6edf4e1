"""docs/internals.md: every example is run, and prints what the document says it prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "internals.md").read_text()

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
BLOCKS = _BLOCK.findall(TEXT)
PREAMBLE, EXAMPLES = BLOCKS[0][1], list(zip(BLOCKS[1::2], BLOCKS[2::2], strict=True))


def line_of(code):
    return TEXT[: TEXT.index(code)].count("\n") + 1


def test_every_example_stands_above_its_output():
    assert len(EXAMPLES) > 10
    for (language, _), (what, output) in EXAMPLES:
        assert (language, what) == ("python", "text")
        assert output.strip()


@pytest.mark.parametrize(("example", "output"), EXAMPLES, ids=[f"line {line_of(code)}" for (_, code), _ in EXAMPLES])
def test_example_prints_what_stands_below_it(example, output):
    run = subprocess.run(
        [sys.executable, "-c", PREAMBLE + example[1]], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == output[1]


def test_modules_it_points_to_are_there():
    named = set(re.findall(r"`([\w/]+\.py)`", TEXT))
    assert named
    for name in named:
        assert (ROOT / "layers" / "telemetry" / "lambda_otel" / name).is_file(), name
