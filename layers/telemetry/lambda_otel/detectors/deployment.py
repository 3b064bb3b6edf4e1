"""What was deployed: version, commit and environment, from a file that the build puts beside the code.

Lambda's own version is a number that a release does not know. A `version.json` in the function's folder, say

    {"version": "1.4.2", "commit": "9d59409acf47", "environment": "production"}

becomes `service.version`, `vcs.ref.head.revision` and `deployment.environment.name`. Names with a dot are attributes'
names, and taken as they are.
"""

import json
import os
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource, ResourceDetector

from lambda_otel.settings import read_setting

_NAMES = {
    "version": "service.version",
    "namespace": "service.namespace",
    "environment": "deployment.environment.name",
    "commit": "vcs.ref.head.revision",
    "branch": "vcs.ref.head.name",
    "repository": "vcs.repository.url.full",
}
_MAX_BYTES = 65536


class DeploymentDetector(ResourceDetector):
    """Reads a file of attributes.

    Parameters
    ----------
    path : str, optional
        That of `OTEL_LAMBDA_DEPLOYMENT_FILE`, by default, and else `version.json` in the function's folder.
    """

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        named = path or read_setting("OTEL_LAMBDA_DEPLOYMENT_FILE")
        self._path = Path(named or os.environ.get("LAMBDA_TASK_ROOT", "."), *(() if named else ("version.json",)))

    def detect(self) -> Resource:
        """What the file says.

        Raises
        ------
        OSError, ValueError
            There is no such file, or it is no JSON object of texts, numbers and booleans.
        """
        with self._path.open("rb") as file:
            content: Any = json.loads(file.read(_MAX_BYTES))
        if not isinstance(content, dict):
            raise ValueError(f"expected a JSON object in `{self._path}`")
        return Resource({_attribute(name): _checked(name, value) for name, value in content.items()})


def _attribute(name: str) -> str:
    if name not in _NAMES and "." not in name:
        raise ValueError(f"expected one of {', '.join(f'`{one}`' for one in _NAMES)} or an attribute's name: `{name}`")
    return _NAMES.get(name, name)


def _checked(name: str, value: Any) -> str | bool | int | float:
    if not isinstance(value, str | bool | int | float):
        raise ValueError(f"expected a text, number or boolean as `{name}`")
    return value
