"""From the text of an environment variable to a value; each raises ValueError with what was expected."""

from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

DIRECT = "otlp_http_direct"
EXPORTERS = ("otlp", DIRECT, "console", "file", "none")
# where the context can go, by the names that boto3's clients are made with
AWS_SERVICES = ("s3", "sqs", "sns", "lambda", "events")


def flag(text: str) -> bool:
    """True for `true`; as the specification has it, all else is false."""
    return text.strip().lower() == "true"


def whole(text: str) -> int:
    """A whole number, 0 or above."""
    number = int(text)
    if number < 0:
        raise ValueError("expected a whole number, 0 or above")
    return number


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number <= 0:
        raise ValueError("expected a whole number above 0")
    return number


def one_of(*choices: str) -> Callable[[str], str]:
    """What reads one of some words."""

    def parse(text: str) -> str:
        choice = text.strip().lower()
        if choice not in choices:
            raise ValueError(f"expected {' or '.join(f'`{one}`' for one in choices)}")
        return choice

    return parse


def names(text: str) -> tuple[str, ...]:
    """Words, comma separated."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def preloadable(text: str) -> tuple[str, ...]:
    """Signals whose part of the SDK can be loaded ahead."""
    found = names(text)
    if not set(found) <= {"metrics", "logs"}:
        raise ValueError("expected `metrics`, `logs` or both, comma separated")
    return found


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """`key=value`, comma separated and percent encoded."""
    found = []
    for item in names(text):
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise ValueError("expected `key=value`, comma separated and percent encoded")
        found.append((unquote(key.strip()), unquote(value.strip())))
    return tuple(found)


def collector_url(text: str) -> str:
    """Where a Collector listens."""
    url = urlsplit(text.strip())
    if url.scheme != "http" or not url.hostname or not _has_port(url):
        raise ValueError("expected `http://host:port`; TLS is the Collector's")
    return text.strip()


def probability(text: str) -> float:
    """A number from 0 to 1."""
    number = float(text)
    if not 0.0 <= number <= 1.0:  # nor is it one that is no number
        raise ValueError("expected a probability, 0 to 1")
    return number


def backend_url(text: str) -> str:
    """Where a backend or an API is."""
    url = urlsplit(text.strip())
    if url.scheme not in ("http", "https") or not url.hostname or not _has_port(url):
        raise ValueError("expected `https://host/path` or `http://host/path`")
    return text.strip()


def _has_port(url: SplitResult) -> bool:
    """Whether the port, if there is one, can be; it is not looked at before it is asked for."""
    try:
        return url.port != 0
    except ValueError:
        return False


def _is_dotted(text: str) -> bool:
    module, colon, name = text.partition(":")
    return bool(colon and module and name)


def dotted_names(text: str) -> tuple[str, ...]:
    """`module:name`, comma separated."""
    found = names(text)
    if not all(_is_dotted(name) for name in found):
        raise ValueError("expected `module:name`, comma separated")
    return found


def aws_services(text: str) -> tuple[str, ...]:
    """AWS services, or `none`."""
    found = names(text)
    unknown = [name for name in found if name not in (*AWS_SERVICES, "none")]
    if unknown:
        raise ValueError(f"expected {', '.join(f'`{one}`' for one in AWS_SERVICES)} or `none`, comma separated")
    return () if "none" in found else found


def exporters(text: str) -> tuple[str, ...]:
    """Exporters, or `none`."""
    found = tuple(dict.fromkeys(names(text)))
    unknown = [name for name in found if name not in EXPORTERS and not _is_dotted(name)]
    if unknown or not found:
        raise ValueError(f"expected {', '.join(f'`{one}`' for one in EXPORTERS)} or `module:name`, comma separated")
    return () if "none" in found else found
