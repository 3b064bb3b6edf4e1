"""Whether the SDK is the one whose inner workings this layer knows."""

from opentelemetry.sdk.version import __version__

# `lean_spans` and `lean_metrics` were written for it; another one, which a function may bring, does as it always does
_KNOWN = "1.45."


def is_sdk_known() -> bool:
    """Whether what is written for one version of the SDK can be used."""
    return __version__.startswith(_KNOWN)
