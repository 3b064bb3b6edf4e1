"""Pages in the browser of whoever sits there."""

import os
import sys
from pathlib import Path


def open_page(path: Path) -> None:
    """Open a page, if a person with a screen is there to see it."""
    if not _has_display():
        return
    import webbrowser

    webbrowser.open(path.resolve().as_uri())


def _has_display() -> bool:
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
