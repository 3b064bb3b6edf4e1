"""Which pipeline a command talks to: the local service if one is up, else a stack on AWS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import click

from neuro_cli.deployed.aws import aws_client, local_client, told_as_errors
from neuro_cli.deployed.service_state import ServiceState, running_service
from neuro_cli.errors import CliError

DEFAULT_STACK = "neuro-preprocess"
F = TypeVar("F", bound=Callable[..., Any])


def target_options(function: F) -> F:
    """The options that say which pipeline is meant."""
    for option in (
        click.option(
            "--endpoint-url", metavar="URL", help="Another S3 to talk to; its buckets are named after `--bucket`."
        ),
        click.option("--bucket", metavar="NAME", help="Raw bucket, where it is not the pipeline's own."),
        click.option(
            "--stack-name",
            default=DEFAULT_STACK,
            show_default=True,
            envvar="NEURO_STACK_NAME",
            help="CloudFormation stack, where AWS is meant.",
        ),
        click.option("--aws", "is_aws", is_flag=True, help="Talk to AWS even though a local service is up."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class Target:
    """One deployed pipeline.

    Attributes
    ----------
    name : str
        For people.
    raw_bucket, work_bucket, derivatives_bucket : str
    functions : mapping of str to str
        Logical ids of the template to function names, where they are known beforehand.
    service : ServiceState or None
        The local service; None: AWS, or another S3.
    """

    name: str
    raw_bucket: str
    work_bucket: str
    derivatives_bucket: str
    functions: Mapping[str, str] = field(default_factory=dict)
    service: ServiceState | None = None
    endpoint_url: str | None = None

    @cached_property
    def s3(self) -> Any:
        """Its S3."""
        if self.service is not None:
            return local_client("s3", self.service.s3_url, self.service.region)
        return aws_client("s3", self.endpoint_url)

    @cached_property
    def functions_api(self) -> Any:
        """Its Lambda."""
        if self.service is not None:
            return local_client("lambda", self.service.lambda_url, self.service.region)
        return aws_client("lambda")


def find_target(*, is_aws: bool, stack_name: str, endpoint_url: str | None, bucket: str | None = None) -> Target:
    """The pipeline that the options mean.

    Parameters
    ----------
    is_aws, stack_name, endpoint_url
        See `target_options`.
    bucket : str, optional
        Raw bucket, where it is not the pipeline's own.

    Raises
    ------
    CliError
        There is no such pipeline.
    """
    if endpoint_url is not None:
        return _named_by_prefix(endpoint_url, bucket or f"{DEFAULT_STACK}-raw")
    service = None if is_aws else running_service()
    if service is not None:
        return target_of(service, bucket)
    return _of_stack(stack_name, bucket)


def target_of(service: ServiceState, bucket: str | None = None) -> Target:
    """The pipeline of a local service."""
    return Target(
        name=f"the local service at {service.s3_url}",
        raw_bucket=bucket or service.raw_bucket,
        work_bucket=service.work_bucket,
        derivatives_bucket=service.derivatives_bucket,
        functions=service.functions,
        service=service,
    )


def _named_by_prefix(endpoint_url: str, raw_bucket: str) -> Target:
    prefix = raw_bucket.removesuffix("-raw")
    return Target(
        name=endpoint_url,
        raw_bucket=raw_bucket,
        work_bucket=f"{prefix}-work",
        derivatives_bucket=f"{prefix}-derivatives",
        endpoint_url=endpoint_url,
    )


def _of_stack(stack_name: str, bucket: str | None) -> Target:
    resources = stack_resources(stack_name)
    raw = bucket or resources.get("RawBucket") or _output(stack_name, "RawBucketName")
    try:
        work, derivatives = resources["WorkBucket"], resources["DerivativesBucket"]
    except KeyError as error:
        raise CliError(f"stack `{stack_name}` is not a neuro-preprocess stack: it has no {error} resource") from error
    return Target(
        name=f"stack `{stack_name}` on AWS",
        raw_bucket=raw,
        work_bucket=work,
        derivatives_bucket=derivatives,
        functions=resources,
    )


def stack_resources(stack_name: str) -> dict[str, str]:
    """Physical names of a stack's resources, by logical id.

    Raises
    ------
    CliError
        There is no such stack, or no AWS.
    """
    with told_as_errors(f"stack `{stack_name}`"):
        pages = aws_client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_name)
        return {
            resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
            for page in pages
            for resource in page["StackResourceSummaries"]
        }


def _output(stack_name: str, key: str) -> str:
    with told_as_errors(f"stack `{stack_name}`"):
        (stack,) = aws_client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}
    if key not in outputs:
        raise CliError(f"stack `{stack_name}` has no output `{key}`")
    return str(outputs[key])
