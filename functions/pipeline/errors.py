"""Every error of the project, and what becomes of each. The kind decides, never the message.

PipelineError
+- InvalidInputError     <FAULT>             stored as an error file, counted, never retried
+- TransientError        s3_unavailable      raised: Lambda retries twice, then the failure queue has it
+- ConfigError           config_invalid      raised: same road
+- StageError            stage_failed        raised: same road
   +- MissingObjectError object_missing
"""

from neuro_preprocess.errors import InputFault, InvalidInputError, PipelineError, StageError

__all__ = [
    "ConfigError",
    "InputFault",
    "InvalidInputError",
    "MissingObjectError",
    "PipelineError",
    "StageError",
    "TransientError",
]


class TransientError(PipelineError):
    """S3 throttled, failed or did not answer: the same request may well succeed later."""

    code = "s3_unavailable"


class ConfigError(PipelineError):
    """The deployment is wrong: a setting, a permission, a trigger."""

    code = "config_invalid"


class MissingObjectError(StageError):
    """An object that should be there is not."""

    code = "object_missing"
