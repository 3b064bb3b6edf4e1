"""Build a stand-in for AWS's Lambda base image from this machine's own Python, for `sam local` without a registry.

    python3 scripts/build_runtime_image.py --runtime-dir .build/lambda-runtime

The image gets the very tag that SAM looks for, so that `sam local invoke --skip-pull-image` finds it. With access to
AWS's published images nobody needs this. It differs from them in what it is made of: this machine's glibc, Python and
shell, and no more of a distribution than those need.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
TAG = f"public.ecr.aws/lambda/python:{VERSION}-{ARCH}"

# What the bootstrap, and the steps SAM adds to an image, call by name.
_COMMANDS = ("sh", "mv", "cp", "rm", "chmod", "mkdir", "cat", "ls", "env")
_UNUSED_STDLIB = (
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "__pycache__",
)

_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
ENV LANG=C.UTF-8 TZ=:/etc/localtime LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime \\
    PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin \\
    LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
RUN /var/lang/bin/python3 -m compileall -q /var/lang/lib /var/runtime || true
WORKDIR /var/task
"""

_BOOTSTRAP = f"""\
#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python{VERSION}
set -- /var/lang/bin/python{VERSION} /var/runtime/bootstrap.py
[ -z "$AWS_LAMBDA_EXEC_WRAPPER" ] && exec "$@"
exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
"""

_BOOTSTRAP_PY = f"""\
import os
import sys

path = [os.environ["LAMBDA_TASK_ROOT"], "/opt/python/lib/python{VERSION}/site-packages", "/opt/python", "/var/runtime"]
sys.path[:] = path + [entry for entry in sys.path[1:] if entry not in path]

from awslambdaric.__main__ import main

main([sys.argv[0], os.environ["_HANDLER"]])
"""


def main() -> None:
    """Build the image and print its tag."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runtime-dir", required=True, type=Path, help="folder with awslambdaric and boto3 for Python")
    runtime_dir = parser.parse_args().runtime_dir
    with tempfile.TemporaryDirectory() as context:
        root = Path(context, "rootfs")
        lay_out(root, runtime_dir)
        with tarfile.open(Path(context, "rootfs.tar"), "w") as archive:
            archive.add(root, arcname="/", filter=_owned_by_root)
        shutil.rmtree(root)
        Path(context, "Dockerfile").write_text(_DOCKERFILE)
        subprocess.run(["docker", "build", "--quiet", "--tag", TAG, context], check=True, stdout=subprocess.DEVNULL)
    print(TAG)


def lay_out(root: Path, runtime_dir: Path) -> None:
    """Lay out the image's files below a folder, as AWS's image has them."""
    for folder in ("bin", "etc", "lib64", "opt", "proc", "tmp", "usr/bin", "usr/lib", "var/task", "var/rapid"):
        (root / folder).mkdir(parents=True)
    root.joinpath("tmp").chmod(0o1777)
    root.joinpath("etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    programs = [_python(root), *(_command(root, name) for name in _COMMANDS)]
    runtime = root / "var/runtime"
    shutil.copytree(runtime_dir, runtime, ignore=shutil.ignore_patterns("__pycache__"))
    runtime.joinpath("bootstrap").write_text(_BOOTSTRAP)
    runtime.joinpath("bootstrap").chmod(0o755)
    runtime.joinpath("bootstrap.py").write_text(_BOOTSTRAP_PY)
    for library in sorted(_libraries([*programs, *root.rglob("*.so"), *root.rglob("*.so.*")])):
        target = root / library.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _python(root: Path) -> Path:
    language = root / "var/lang"
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, language / "lib" / stdlib.name, ignore=shutil.ignore_patterns(*_UNUSED_STDLIB, "config-*"))
    binary = language / "bin" / f"python{VERSION}"
    binary.parent.mkdir()
    shutil.copy(Path(sys.base_prefix, "bin", binary.name).resolve(), binary)
    for name in ("python3", "python"):
        binary.with_name(name).symlink_to(binary.name)
    return binary


def _command(root: Path, name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        sys.exit(f"the command `{name}` is needed for the image, but this machine has none")
    target = root / "bin" / name
    shutil.copy(Path(found).resolve(), target)
    return target


def _libraries(binaries: list[Path]) -> set[Path]:
    """All shared libraries that the binaries need of this machine, and their loader."""
    found: set[Path] = set()
    environment = os.environ | {"LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"}
    for binary in binaries:
        listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, env=environment, check=False)
        found.update(Path(path) for path in re.findall(r"(/[^\s()]+)", listing.stdout) if Path(path).is_file())
    return {library for library in found if ".so" in library.name}


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    main()
