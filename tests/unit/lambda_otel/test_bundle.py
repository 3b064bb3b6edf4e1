import marshal
import subprocess
import sys

import pytest

from lambda_otel._bundle import bundle_path

CODE = """
import sys
from lambda_otel._bundle import install_bundle
{before}
sys.path.append({folder!r})
install_bundle({folder!r})
import opentelemetry_fake, opentelemetry_fake.bundled, opentelemetry_fake.other
for module in (opentelemetry_fake, opentelemetry_fake.bundled, opentelemetry_fake.other):
    print(module.WHERE, module.__file__, type(module.__loader__).__name__, module.__package__)
"""


@pytest.fixture
def folder(tmp_path):
    """A package of three modules on disk, of which two are in a bundle."""
    folder = tmp_path / "layer"
    package = folder / "opentelemetry_fake"
    package.mkdir(parents=True)
    (folder / "lambda_otel").mkdir()
    for name in ("__init__", "bundled", "other"):
        (package / f"{name}.py").write_text("WHERE = 'file'\n")
    code = marshal.dumps(compile("WHERE = 'bundle'\n", "x.py", "exec"))
    entries = {
        "opentelemetry_fake": ("opentelemetry_fake/__init__.py", True, code),
        "opentelemetry_fake.bundled": ("opentelemetry_fake/bundled.py", False, code),
    }
    with open(bundle_path(str(folder)), "wb") as file:  # noqa: PTH123
        file.write(marshal.dumps(entries))
    return folder


def run(folder, before="", *flags):
    code = CODE.format(before=before, folder=str(folder))
    command = [sys.executable, *flags, "-c", code]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split() for line in out.splitlines()]


# an installed OpenTelemetry stands before the folder on this path, as a function's own would
HIDE = "sys.path = [path for path in sys.path if not __import__('os').path.isdir(path + '/opentelemetry')]"


def test_modules_come_from_the_bundle_and_the_rest_from_its_file(folder):
    package = f"{folder}/opentelemetry_fake"

    assert run(folder, HIDE) == [
        ["bundle", f"{package}/__init__.py", "_Finder", "opentelemetry_fake"],
        ["bundle", f"{package}/bundled.py", "_Finder", "opentelemetry_fake"],
        ["file", f"{package}/other.py", "SourceFileLoader", "opentelemetry_fake"],
    ]


def test_functions_own_opentelemetry_goes_before_the_bundle(folder):
    assert [line[0] for line in run(folder)] == ["file"] * 3


@pytest.mark.parametrize("content", [b"", b"garbage", marshal.dumps({})[:-1]])
def test_broken_bundle_is_as_none(folder, content):
    with open(bundle_path(str(folder)), "wb") as file:  # noqa: PTH123
        file.write(content)

    assert [line[0] for line in run(folder, HIDE)] == ["file"] * 3


def test_missing_bundle_is_none(folder):
    (folder / "lambda_otel" / f"{sys.implementation.cache_tag}.bundle").unlink()

    assert [line[0] for line in run(folder, HIDE)] == ["file"] * 3


def test_optimized_python_uses_its_own_byte_code(folder):
    assert [line[0] for line in run(folder, HIDE, "-O")] == ["file"] * 3
