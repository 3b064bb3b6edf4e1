"""Clients, and their refusals in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neuro_cli.errors import CliError

_NO_AWS_HINT = "start a local service with `neuro-preprocess local up`, or set up AWS with `aws configure`"
_HINTS = {
    "NoSuchBucket": "name another one with `--bucket`, or another stack with `--stack-name`",
    "AccessDenied": "your credentials do not allow it: ask for them, or use another profile with `AWS_PROFILE`",
    "ExpiredToken": "log in again, for example with `aws sso login`",
}


def local_client(service: str, endpoint_url: str, region: str) -> Any:
    """Client for an endpoint of this machine; your own credentials are not sent there."""
    from boto3.session import Session

    return Session().client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  no secret: the local service takes any
        config=_config(service),
    )


def aws_client(service: str, endpoint_url: str | None = None) -> Any:
    """Client by the user's own AWS configuration."""
    from boto3.session import Session

    with told_as_errors(service):
        return Session().client(service, endpoint_url=endpoint_url, config=_config(service))


@contextmanager
def told_as_errors(what: str) -> Iterator[None]:
    """Turn a refusal by AWS, or its silence, into a sentence.

    Parameters
    ----------
    what : str
        Which object or request this is about, for the sentence.

    Raises
    ------
    CliError
    """
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except NoCredentialsError as error:
        raise CliError("no local service is up, and no AWS credentials were found", _NO_AWS_HINT) from error
    except NoRegionError as error:
        raise CliError("no local service is up, and no AWS region is set", _NO_AWS_HINT) from error
    except ClientError as error:
        code, message = error.response["Error"].get("Code", "?"), error.response["Error"].get("Message", "")
        raise CliError(f"{what}: refused with `{code}`: {message}", _HINTS.get(code, "")) from error
    except S3UploadFailedError as error:
        raise CliError(f"{what}: the upload failed: {error}") from error
    except BotoCoreError as error:
        raise CliError(f"{what}: {error}") from error


def _config(service: str) -> Any:
    from botocore.config import Config

    if service == "lambda":
        # As long as a function may run; and an invocation must not be sent again because it takes its time.
        return Config(connect_timeout=5, read_timeout=900, retries={"total_max_attempts": 1})
    return Config(connect_timeout=5, retries={"mode": "standard"})
