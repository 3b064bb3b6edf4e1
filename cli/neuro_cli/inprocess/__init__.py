"""The pipeline in this process, on files of this machine: what `process`, `batch` and `info` do."""
