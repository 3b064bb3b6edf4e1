"""Build one layer into a folder: pinned and hashed wheels for the target, our own package, pruned and byte-compiled.

    python3 build_layer.py science --python 3.13 --arch arm64 --into <folder>

Needs nothing but Python and pip; the target may be another architecture and another Python than this machine's.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# glibc of the Lambda runtime: Amazon Linux 2 for Python 3.11, Amazon Linux 2023 from 3.12 on.
GLIBC_MINOR = {"3.11": 26, "3.12": 34, "3.13": 34, "3.14": 34}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

# Never used at run time, by any of our layers.
_JUNK = ("*.pyi", "*.pxd", "*.pyx", "*.h", "*.a", "*.c", "*.lib", "py.typed")
_JUNK_FOLDERS = ("tests", "__pycache__", "include")
# scipy.ndimage imports `_lib`, `_external`, `linalg`, `special` and nothing else of scipy.
_SCIPY_UNUSED = (
    "cluster", "constants", "datasets", "differentiate", "fft", "fftpack", "integrate", "interpolate", "io", "misc",
    "odr", "optimize", "signal", "sparse", "spatial", "stats",
)  # fmt: skip
# boto3 and botocore are in the runtime; of nibabel only the header code is used, and no command.
_UNUSED = {"science": (*(f"scipy/{name}" for name in _SCIPY_UNUSED), "bin", "nibabel/benchmarks"), "runtime": ("bin",)}


def main() -> None:
    """Build the layer that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("layer", choices=sorted(_UNUSED))
    parser.add_argument("--python", required=True, choices=sorted(GLIBC_MINOR), help="version of the target runtime")
    parser.add_argument("--arch", required=True, choices=sorted(MACHINES), help="architecture of the target")
    parser.add_argument("--into", required=True, type=Path, help="folder that becomes the layer")
    args = parser.parse_args()
    packages = args.into / "python"
    install(HERE / args.layer / "requirements.txt", packages, args.python, MACHINES[args.arch])
    for own in sorted(path.parent for path in (HERE / args.layer).glob("*/__init__.py")):
        shutil.copytree(own, packages / own.name, ignore=shutil.ignore_patterns("__pycache__"))
    prune(packages, _UNUSED[args.layer])
    compile_all(packages, args.python)


def install(requirements: Path, packages: Path, python: str, machine: str) -> None:
    """Unpack the wheels of the target; pip checks every hash."""
    minors = range(GLIBC_MINOR[python], 16, -1)
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in minors]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", f"--target={packages}", "--upgrade"]
    command += ["--implementation=cp", f"--python-version={python}", *platforms, f"--platform=manylinux2014_{machine}"]
    # pip judges markers by the Python it runs in, not by the target: resolve them first; the pins are complete
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as resolved:
        resolved.write(for_python(requirements.read_text(), python))
        resolved.flush()
        subprocess.run([*command, "-r", resolved.name], check=True)


def for_python(requirements: str, python: str) -> str:
    """The requirements that hold for the target, without their markers."""
    # pip's own copy: wherever this runs, pip does
    from pip._vendor.packaging.markers import Marker

    target = {"python_version": python, "python_full_version": f"{python}.0"}
    kept = []
    for block in re.split(r"\n(?=\S)", requirements):
        head, *hashes = block.split("\n")
        requirement, _, marker = head.removesuffix("\\").partition(";")
        if not marker or Marker(marker.strip()).evaluate(target):
            kept.append("\n".join([f"{requirement.rstrip()} \\" if hashes and marker else head, *hashes]))
    return "\n".join(kept)


def prune(packages: Path, unused: tuple[str, ...]) -> None:
    """Take out what never runs: a layer's size is cold start."""
    for name in unused:
        shutil.rmtree(packages / name, ignore_errors=True)
    for folder in sorted(packages.rglob("*"), reverse=True):
        if folder.is_dir() and folder.name in _JUNK_FOLDERS:
            shutil.rmtree(folder)
    for pattern in _JUNK:
        for file in packages.rglob(pattern):
            file.unlink()


def compile_all(packages: Path, python: str) -> None:
    """Byte code that Python takes as it is: `/opt` is read-only, and its files' times mean nothing."""
    interpreter = _interpreter(python)
    if interpreter is None:
        print(
            f"warning: no python{python} here, so the layer has no byte code and cold starts are slower by a second",
            file=sys.stderr,
        )
        return
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    subprocess.run([*command, "-s", str(packages), "-p", "/opt/python", str(packages)], check=True)


def _interpreter(python: str) -> str | None:
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    works = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if works else None


if __name__ == "__main__":
    main()
