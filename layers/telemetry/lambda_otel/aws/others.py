"""Services whose requests have attributes by the conventions, and no place for a context."""

from collections.abc import Mapping
from typing import Any

from lambda_otel.aws._service import Params, Service, text


def _describe_dynamodb(operation: str, params: Params) -> dict[str, Any]:
    table, items = text(params.get("TableName")), params.get("RequestItems")
    tables = list(items) if isinstance(items, Mapping) else [table] if table else None
    return {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": operation,
        "db.collection.name": table,
        "aws.dynamodb.table_names": tables,
    }


def _describe_kinesis(operation: str, params: Params) -> dict[str, Any]:  # noqa: ARG001  the form's signature
    return {"aws.kinesis.stream_name": text(params.get("StreamName"))}


def _describe_secrets_manager(operation: str, params: Params) -> dict[str, Any]:  # noqa: ARG001
    secret = text(params.get("SecretId")) or ""
    return {"aws.secretsmanager.secret.arn": secret if secret.startswith("arn:") else None}


def _describe_step_functions(operation: str, params: Params) -> dict[str, Any]:  # noqa: ARG001
    return {
        "aws.step_functions.state_machine.arn": text(params.get("stateMachineArn")),
        "aws.step_functions.activity.arn": text(params.get("activityArn")),
    }


# By the names that clients are made with.
SERVICES = {
    "dynamodb": Service(_describe_dynamodb),
    "kinesis": Service(_describe_kinesis),
    "secretsmanager": Service(_describe_secrets_manager),
    "stepfunctions": Service(_describe_step_functions),
}
