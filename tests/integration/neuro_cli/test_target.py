"""Which pipeline a command talks to."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from neuro_cli.deployed.service_state import ServiceState, announced
from neuro_cli.deployed.target import find_target
from neuro_cli.errors import CliError

NAMESPACE = 'xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"'
RESOURCES = {
    "Conform": "imaging-Conform-1A2B",
    "WorkBucket": "imaging-work",
    "DerivativesBucket": "imaging-derivatives",
    "RawBucket": "imaging-raw",
}


class CloudFormation(ThreadingHTTPServer):
    """As much of the service as `find_target` asks; a page holds one resource."""

    resources = RESOURCES

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = {name: values[0] for name, values in parse_qs(body).items()}
        actions = {"ListStackResources": self.list_stack_resources, "DescribeStacks": self.describe_stacks}
        status, answer = 200, actions[query["Action"]](query)
        if query["StackName"] != "imaging":
            status, answer = 400, self.refuse(query["StackName"])
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(answer.encode())

    def refuse(self, name):
        error = f"<Type>Sender</Type><Code>ValidationError</Code><Message>Stack {name} does not exist</Message>"
        return f"<ErrorResponse {NAMESPACE}><Error>{error}</Error></ErrorResponse>"

    def list_stack_resources(self, query):
        number = int(query.get("NextToken", 0))
        logical_id, name = list(self.server.resources.items())[number]
        member = f"<LogicalResourceId>{logical_id}</LogicalResourceId><PhysicalResourceId>{name}</PhysicalResourceId>"
        token = f"<NextToken>{number + 1}</NextToken>" if number + 1 < len(self.server.resources) else ""
        summaries = f"<StackResourceSummaries><member>{member}</member></StackResourceSummaries>{token}"
        result = f"<ListStackResourcesResult>{summaries}</ListStackResourcesResult>"
        return f"<ListStackResourcesResponse {NAMESPACE}>{result}</ListStackResourcesResponse>"

    def describe_stacks(self, _):
        output = "<OutputKey>RawBucketName</OutputKey><OutputValue>their-scans</OutputValue>"
        stack = f"<StackName>imaging</StackName><Outputs><member>{output}</member></Outputs>"
        result = f"<DescribeStacksResult><Stacks><member>{stack}</member></Stacks></DescribeStacksResult>"
        return f"<DescribeStacksResponse {NAMESPACE}>{result}</DescribeStacksResponse>"

    def log_message(self, *_):
        pass


@pytest.fixture
def cloudformation(monkeypatch):
    with CloudFormation() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", server.url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def service():
    state = ServiceState(
        pid=os.getpid(),
        s3_url="http://127.0.0.1:1",
        lambda_url="http://127.0.0.1:2",
        region="eu-central-1",
        raw_bucket="local-raw",
        work_bucket="local-work",
        derivatives_bucket="local-derivatives",
        functions={"Conform": "local-Conform"},
    )
    with announced(state):
        yield state


def found(**options):
    return find_target(**({"is_aws": False, "stack_name": "imaging", "endpoint_url": None} | options))


def test_local_service_comes_first(service, cloudformation):
    target = found()
    assert (target.raw_bucket, target.service) == ("local-raw", service)
    assert target.functions["Conform"] == "local-Conform"
    assert target.s3.meta.endpoint_url == service.s3_url
    assert target.s3.meta.region_name == "eu-central-1"
    assert target.functions_api.meta.endpoint_url == service.lambda_url


def test_local_service_is_never_sent_the_user_s_credentials(service, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    credentials = found().s3._request_signer._credentials
    assert credentials.access_key == "local"


def test_aws_is_meant_where_it_is_asked_for(service, cloudformation):
    target = found(is_aws=True)
    assert (target.raw_bucket, target.work_bucket, target.derivatives_bucket) == (
        "imaging-raw",
        "imaging-work",
        "imaging-derivatives",
    )
    assert target.functions["Conform"] == "imaging-Conform-1A2B"
    assert target.service is None


def test_stack_with_an_existing_raw_bucket_tells_it_in_its_output(cloudformation):
    cloudformation.resources = {name: value for name, value in RESOURCES.items() if name != "RawBucket"}
    assert found().raw_bucket == "their-scans"


def test_named_bucket_replaces_the_pipeline_s_own(cloudformation, service):
    assert found(bucket="mine").raw_bucket == "mine"
    assert found(bucket="mine", is_aws=True).raw_bucket == "mine"


def test_another_endpoint_has_buckets_by_prefix():
    target = found(endpoint_url="http://127.0.0.1:9", bucket="lab-raw")
    assert (target.work_bucket, target.derivatives_bucket) == ("lab-work", "lab-derivatives")
    assert found(endpoint_url="http://127.0.0.1:9").raw_bucket == "neuro-preprocess-raw"


def test_missing_stack_is_told(cloudformation):
    with pytest.raises(CliError, match="`nobody-s`: refused with `ValidationError`"):
        found(stack_name="nobody-s")


def test_stack_of_something_else_is_told(cloudformation):
    cloudformation.resources = {"RawBucket": "x", "Other": "y"}
    with pytest.raises(CliError, match="is not a neuro-preprocess stack"):
        found()


def test_credentials_are_asked_for(cloudformation, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CliError, match="no AWS credentials were found") as caught:
        found()
    assert "local up" in caught.value.hint
