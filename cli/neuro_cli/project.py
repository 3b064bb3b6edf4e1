"""Where the project is and what has been built in it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from neuro_cli.errors import CliError

_TEMPLATE = "template.yaml"
_LAYERS = ("TelemetryLayer", "ScienceLayer", "RuntimeLayer", "CollectorLayer")


@dataclass(frozen=True)
class Project:
    """A checkout of this project.

    Attributes
    ----------
    root : Path
        The folder that holds `template.yaml`.
    """

    root: Path

    @property
    def template(self) -> Path:
        """The SAM template."""
        return self.root / _TEMPLATE

    @property
    def build(self) -> Path:
        """Folder of everything that is built."""
        return self.root / ".build"

    @property
    def layers(self) -> dict[str, Path]:
        """Built layers by logical id; each folder is what Lambda mounts at `/opt`."""
        return {name: self.build / "layers" / name for name in _LAYERS}

    @property
    def lambda_runtime(self) -> Path:
        """What Lambda's own Python runtime brings: its client and boto3."""
        return self.build / "lambda-runtime"

    def require_built(self) -> None:
        """Check that the layers stand, and that they are for the Python that runs this.

        Raises
        ------
        CliError
        """
        for folder in (*self.layers.values(), self.lambda_runtime):
            if not folder.is_dir():
                raise CliError(
                    f"the functions' layers have not been built: `{folder}` is missing",
                    hint=f"run `make layers` in `{self.root}`",
                )
        built_for = {path.name.split(".")[1] for path in self.lambda_runtime.glob("*.cpython-*.so")}
        if built_for and not any(tag.startswith(f"{sys.implementation.cache_tag}-") for tag in built_for):
            raise CliError(
                f"the functions' layers have been built for another Python: {', '.join(sorted(built_for))}",
                hint=f"run `make clean` and then `make layers` in `{self.root}`",
            )


def find_project(given: Path | None = None) -> Project:
    """The project that was named, or the one around the working directory, or the one this command comes from.

    Raises
    ------
    CliError
        There is none.
    """
    if given is not None:
        if not (given / _TEMPLATE).is_file():
            raise CliError(f"expected a folder with a `{_TEMPLATE}`, but `{given}` has none")
        return Project(given.resolve())
    here = Path.cwd()
    installed_from = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, installed_from):
        if _is_project(folder):
            return Project(folder)
    raise CliError(
        f"expected the project's folder, with its `{_TEMPLATE}`, at or above `{here}`, but found none",
        hint="name it with `--project`",
    )


def _is_project(folder: Path) -> bool:
    """Whether a folder is a checkout of this project, not of another one that SAM deploys."""
    return (folder / _TEMPLATE).is_file() and (folder / "functions" / "pipeline").is_dir()
