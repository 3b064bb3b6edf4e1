"""Build one layer into a folder: pinned and hashed wheels for the target, our own package, pruned and byte-compiled.

    python3 build_layer.py science --python 3.13 --arch arm64 --into <folder>

Needs nothing but Python and pip; the target may be another architecture and another Python than this machine's.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# In this order: a package that an earlier layer brings is left out of the later ones. Telemetry is first, since it must
# be whole where it is the only layer.
LAYERS = ("telemetry", "science", "runtime")
# Attached by choice, beside the layers named: no other layer may count on what one of these brings.
OPTIONAL = {"telemetry-contrib": ("telemetry",)}

# glibc of the Lambda runtime: Amazon Linux 2 for Python 3.11, Amazon Linux 2023 from 3.12 on.
GLIBC_MINOR = {"3.11": 26, "3.12": 34, "3.13": 34}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

# What never runs, in whatever package: a layer's size is cold start.
_JUNK_FILES = ("*.pyi", "*.pxd", "*.pyx", "*.h", "*.a", "*.c", "*.lib", "py.typed")
_JUNK_FOLDERS = ("bin", "tests", "__pycache__", "include", "benchmarks")
# numpy.testing, which scipy imports, takes one class out of numpy's tests.
_NEEDED = ("numpy/_core/tests/__init__.py", "numpy/_core/tests/_natype.py")
# scipy.ndimage imports `_lib`, `_external`, `linalg` and `special`, and nothing else of scipy ...
_SCIPY_UNUSED = (
    "cluster", "constants", "datasets", "differentiate", "fft", "fftpack", "integrate", "interpolate", "io", "misc",
    "odr", "optimize", "signal", "sparse", "spatial", "stats",
)  # fmt: skip
# ... but for scipy 1.16, the last that runs on Amazon Linux 2, whose `linalg` imports `sparse` at once.
_NEEDS_SPARSE = ("3.11",)
_NUMPY_UNUSED = ("distutils",)


def main() -> None:
    """Build the layer that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("layer", choices=(*LAYERS, *OPTIONAL))
    parser.add_argument("--python", required=True, choices=sorted(GLIBC_MINOR), help="version of the target runtime")
    parser.add_argument("--arch", required=True, choices=sorted(MACHINES), help="architecture of the target")
    parser.add_argument("--into", required=True, type=Path, help="folder that becomes the layer")
    args = parser.parse_args()
    packages = args.into / "python"
    install(requirements(args.layer, args.python), packages, args.python, MACHINES[args.arch])
    for own in sorted(path.parent for path in (HERE / args.layer).glob("*/__init__.py")):
        shutil.copytree(own, packages / own.name)
    for script in (path for path in (HERE / args.layer).iterdir() if path.is_file() and os.access(path, os.X_OK)):
        shutil.copy(script, args.into)
    prune(packages, args.python)
    finish(packages, args.python, bundler=HERE / args.layer / "make_bundle.py")


def requirements(layer: str, python: str) -> str:
    """What pip is to install: the layer's own pins that hold for the target, less what earlier layers bring."""
    earlier = OPTIONAL[layer] if layer in OPTIONAL else LAYERS[: LAYERS.index(layer)]
    present = {name for other in earlier for name in pins(other, python)}
    return "\n".join(pin for name, pin in pins(layer, python).items() if name not in present)


def pins(layer: str, python: str) -> dict[str, str]:
    """The hashed pins of a layer's requirements.txt that hold for the target, by package, without their markers.

    pip judges markers by the Python it runs in, not by the target: they are judged here.
    """
    from pip._vendor.packaging.markers import Marker  # pip's own copy: wherever this runs, pip does

    target = {"python_version": python, "python_full_version": f"{python}.0"}
    found = {}
    for block in re.findall(r"^[^\s#].*\n(?:\s+--hash.*\n?)+", (HERE / layer / "requirements.txt").read_text(), re.M):
        head, _, hashes = block.partition("\n")
        pin, _, marker = head.rstrip(" \\").partition(";")
        if not marker or Marker(marker).evaluate(target):
            found[pin.partition("==")[0].strip()] = f"{pin.strip()} \\\n{hashes}"
    return found


def install(pinned: str, packages: Path, python: str, machine: str) -> None:
    """Unpack the wheels of the target; pip checks every hash."""
    glibc = range(GLIBC_MINOR[python], 16, -1)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in glibc] + [f"manylinux2014_{machine}"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", f"--target={packages}"]
    command += ["--implementation=cp", f"--python-version={python}", *(f"--platform={name}" for name in platforms)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned)
        file.flush()
        subprocess.run([*command, "-r", file.name], check=True)


def prune(packages: Path, python: str) -> None:
    """Take out what never runs."""
    kept = {name: (packages / name).read_bytes() for name in _NEEDED if (packages / name).is_file()}
    unused = [f"scipy/{name}" for name in _SCIPY_UNUSED if name != "sparse" or python not in _NEEDS_SPARSE]
    for name in (*unused, *(f"numpy/{name}" for name in _NUMPY_UNUSED)):
        shutil.rmtree(packages / name, ignore_errors=True)
    for folder in sorted(packages.rglob("*"), reverse=True):
        if folder.is_dir() and folder.name in _JUNK_FOLDERS:
            shutil.rmtree(folder)
    for pattern in _JUNK_FILES:
        for file in packages.rglob(pattern):
            file.unlink()
    for name, content in kept.items():
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_bytes(content)


def finish(packages: Path, python: str, *, bundler: Path) -> None:
    """Byte code that Python takes as it is: `/opt` is read-only, and the times of its files mean nothing.

    A layer that has a `bundler` gets what that makes of the byte code, too.
    """
    interpreter = find_interpreter(python)
    if interpreter is None:
        print(
            f"warning: no python{python} on this machine, so the layer has no byte code and cold starts take longer",
            file=sys.stderr,
        )
        return
    compiling = [interpreter, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    subprocess.run([*compiling, "-s", str(packages), "-p", "/opt/python", str(packages)], check=True)
    if bundler.exists():
        subprocess.run([interpreter, str(bundler), str(packages), "/opt/python"], check=True, stdout=subprocess.DEVNULL)


def find_interpreter(python: str) -> str | None:
    """Path of an interpreter of the target's version that works on this machine, or None."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if works else None


if __name__ == "__main__":
    main()
