"""What AWS's `/var/runtime/bootstrap.py` does: set the import path as in Lambda, then run the handler that `_HANDLER`
names.

Runs in a function's process, as a script; its argument is the folder that stands for `/opt`. `_HANDLER` is read here
and not by the service, as a wrapper script may have changed it.
"""

import os
import sys


def main() -> None:
    """Put task root, layers and runtime on the import path, in Lambda's order, and run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    opt = sys.argv[1]
    layers = [f"{opt}/python/lib/{version}/site-packages", f"{opt}/python"]
    path = [os.environ["LAMBDA_TASK_ROOT"], *layers, os.environ["LAMBDA_RUNTIME_DIR"]]
    sys.path[:] = path + [entry for entry in sys.path if entry not in path]

    from awslambdaric.__main__ import main as run

    run([sys.argv[0], os.environ["_HANDLER"]])


if __name__ == "__main__":
    main()
