"""The layers as built: for this machine complete by themselves, for any other target of the right kind, and small."""

import marshal
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / ".build/layers"
LAYERS = ("TelemetryLayer", "ScienceLayer", "RuntimeLayer")
OPTIONAL_LAYERS = ("TelemetryContribLayer",)
TARGETS = [("3.13", "arm64"), ("3.13", "x86_64"), ("3.12", "arm64"), ("3.11", "x86_64")]
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
LAMBDA_GLIBC = {"3.11": 26, "3.12": 34, "3.13": 34}
MB = 1_000_000


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def build(layer: str, python: str, arch: str, into: Path) -> Path:
    command = ["make", "-s", "-C", ROOT / "layers", f"build-{layer}", f"ARTIFACTS_DIR={into}"]
    subprocess.run([*command, f"PY={python}", f"ARCH={arch}", f"PYTHON={sys.executable}"], check=True)
    return into / "python"


@pytest.fixture(scope="module", params=TARGETS, ids="-".join)
def target(request, tmp_path_factory):
    python, arch = request.param
    folder = tmp_path_factory.mktemp("layers")
    return python, arch, {layer: build(layer, python, arch, folder / layer) for layer in (*LAYERS, *OPTIONAL_LAYERS)}


def test_built_layers_import_everything_they_hold_by_themselves():
    path = [*(BUILT / layer / "python" for layer in LAYERS), ROOT / ".build/lambda-runtime"]
    program = f"""
import importlib, pkgutil, sys
sys.path[:0] = {[str(entry) for entry in path]!r}
import neuro_preprocess
modules = [module.name for module in pkgutil.walk_packages(neuro_preprocess.__path__, "neuro_preprocess.")]
for name in [*modules, "aws_lambda_powertools.logging", "maxminddb", "opentelemetry.trace", "lambda_otel"]:
    module = importlib.import_module(name)
    assert "/layers/" in module.__file__, module.__file__
print(len(modules))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_built_layers_hold_byte_code_that_is_never_checked():
    for file in (BUILT / "ScienceLayer/python/neuro_preprocess").rglob("*.pyc"):
        assert struct.unpack("<I", file.read_bytes()[4:8])[0] == 0b01, f"{file} is not unchecked-hash byte code"
    assert list((BUILT / "ScienceLayer/python/neuro_preprocess/__pycache__").glob("*.pyc"))


def test_layer_libraries_are_of_the_targets_architecture_python_and_glibc(target):
    python, arch, layers = target
    libraries = [library for layer in layers.values() for library in layer.rglob("*.so*")]
    assert len(libraries) > 30
    for library in libraries:
        content = library.read_bytes()
        assert content[:4] == b"\x7fELF"
        assert struct.unpack("<H", content[18:20])[0] == ELF_MACHINES[arch], f"{library.name} is for another machine"
        tag = re.search(r"\.cpython-(\d+)-", library.name)
        assert tag is None or tag[1] == python.replace(".", ""), f"{library.name} is for another Python"
        newest = max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)), default=0)
        assert newest <= LAMBDA_GLIBC[python], f"{library.name} needs glibc 2.{newest}"


def test_layers_are_small(target):
    _, _, layers = target
    assert size_of(layers["TelemetryLayer"]) <= 6 * MB
    assert size_of(layers["TelemetryContribLayer"]) <= 3 * MB
    assert size_of(layers["ScienceLayer"]) <= 130 * MB
    assert size_of(layers["RuntimeLayer"]) <= 15 * MB


def test_no_package_is_in_two_layers(target):
    _, _, layers = target
    for chosen in (LAYERS, ("TelemetryLayer", *OPTIONAL_LAYERS)):
        packages = [info.name for layer in chosen for info in layers[layer].glob("*.dist-info")]
        assert sorted(packages) == sorted(set(packages))


def test_telemetry_layer_has_its_wrapper_and_a_bundle():
    layer = BUILT / "TelemetryLayer"
    assert os.access(layer / "otel-instrument", os.X_OK)
    bundle = marshal.loads((layer / f"python/lambda_otel/{sys.implementation.cache_tag}.bundle").read_bytes())
    assert {"lambda_otel.telemetry", "opentelemetry.sdk.trace", "opentelemetry.sdk.metrics"} <= set(bundle)


@pytest.mark.parametrize("arch", ELF_MACHINES)
def test_collector_layer_is_one_small_static_program_of_the_targets_architecture(arch, tmp_path):
    command = [ROOT / "scripts/with_go.sh", "make", "-s", "-C", ROOT / "collector", "build-CollectorLayer"]
    subprocess.run([*command, f"ARTIFACTS_DIR={tmp_path}", f"ARCH={arch}"], check=True)
    content = (tmp_path / "extensions/collector").read_bytes()
    assert struct.unpack("<H", content[18:20])[0] == ELF_MACHINES[arch]
    assert b"ld-linux" not in content[:4096], "the program needs a dynamic loader"
    assert len(content) <= 25 * MB
