"""OTLP in JSON lines, a file a signal: what OpenTelemetry's file exporter writes and the Collector's can read.

In a Lambda function that is a folder in /tmp: for a test, for an extension that picks it up, or to be looked at while
something is wrong. It is bounded, since /tmp is: a full file becomes `<signal>.jsonl.1`, and the one before goes.
"""

import json
import os
from pathlib import Path
from typing import Any

from lambda_otel.exporters._otlp_json import ENCODERS


class FileExporter:
    """Exporter of one signal to a file; one line a batch.

    Parameters
    ----------
    signal : str
        `traces`, `metrics` or `logs`.
    folder : str
        Made if it is not there.
    max_bytes : int
        Of the file that is written. With the one before, twice as much is used.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, signal: str, folder: str, *, max_bytes: int) -> None:
        self._encode, self._max_bytes = ENCODERS[signal], max_bytes
        self.path = Path(folder, f"{signal}.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def export(self, batch: Any, **_: Any) -> None:
        """Append a batch.

        Raises
        ------
        OSError
            It cannot be written. What was written of it is the start of a line; the next batch begins a new one.
        """
        line = json.dumps(self._encode(batch), separators=(",", ":")).encode() + b"\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(line) > self._max_bytes:
            self.path.replace(f"{self.path}.1")
            size = 0
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "ab", buffering=0) as file:  # noqa: PTH123  by descriptor
            written = 0
            while written < len(line):
                written += file.write(line[written:]) or 0
