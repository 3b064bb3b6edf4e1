import re

from lambda_otel.resource import make_resource, new_instance_id
from lambda_otel.settings import Settings

LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "fn",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[7]ab",
    "AWS_REGION": "eu-central-1",
}


def attributes(env):
    return dict(make_resource(Settings(env), env).attributes)


def test_resource_is_what_lambda_says():
    got = attributes(LAMBDA)

    assert got["service.name"] == got["faas.name"] == "fn"
    assert got["faas.version"] == "7"
    assert got["faas.instance"] == "2026/01/01/[7]ab"
    assert got["faas.max_memory"] == 1769 * 2**20
    assert got["cloud.region"] == "eu-central-1"
    assert got["aws.log.group.names"] == ("/aws/lambda/fn",)


def test_resource_without_lambda_has_a_name_and_no_empty_attributes():
    got = attributes({})

    assert got["service.name"] == "unknown_service:python"
    assert None not in got.values()
    assert "faas.name" not in got
    assert "faas.instance" not in got


def test_resource_variables_go_before_lambdas():
    env = LAMBDA | {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,team=x%2Cy,faas.version=8"}

    got = attributes(env)

    assert (got["service.name"], got["team"], got["faas.version"], got["faas.name"]) == ("a", "x,y", "8", "fn")
    assert attributes(env | {"OTEL_SERVICE_NAME": "b"})["service.name"] == "b"


def test_new_instance_id_is_a_random_uuid():
    ids = {new_instance_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}", one) for one in ids)
