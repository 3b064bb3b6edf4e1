"""What Lambda runs as the runtime's entry: the same order of `sys.path`, then `awslambdaric`."""

import os
import sys

opt = os.environ["LAMBDA_OPT"]
version = f"python{sys.version_info.major}.{sys.version_info.minor}"
paths = [os.environ["LAMBDA_TASK_ROOT"], f"{opt}/python/lib/{version}/site-packages", f"{opt}/python"]
sys.path[:1] = [*paths, os.environ["LAMBDA_RUNTIME_DIR"]]

from awslambdaric.__main__ import main  # noqa: E402  only now is it on the path

main(["awslambdaric", os.environ["_HANDLER"]])
