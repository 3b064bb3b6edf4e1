import textwrap
from pathlib import Path

import pytest

from lambda_local import TemplateError, load_deployment
from lambda_local.resources import AsyncConfig, MappingSpec, RedriveSpec
from lambda_local.template import expand_template

HEAD = """\
Transform: AWS::Serverless-2016-10-31
Parameters:
  Prefix: {Type: String, Default: demo, AllowedPattern: "[a-z-]+"}
  Size: {Type: Number, Default: 512, AllowedValues: [256, 512]}
  Existing: {Type: String, Default: ""}
Conditions:
  HasExisting: !Not [!Equals [!Ref Existing, ""]]
Globals:
  Function: {Runtime: python3.13, CodeUri: code/, Timeout: 7, Layers: [!Ref Libraries]}
Resources:
  Libraries: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer}}
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "layer").mkdir()

    def write_and_load(resources, head=HEAD, **options):
        path = tmp_path / "template.yaml"
        path.write_text(head + textwrap.indent(textwrap.dedent(resources), "  "))
        return load_deployment(path, **options)

    return write_and_load


FUNCTION = """
Worker:
  Type: AWS::Serverless::Function
  Properties:
    Handler: worker.app.handler
    MemorySize: !Ref Size
    EphemeralStorage: {Size: 1024}
    ReservedConcurrentExecutions: 4
    Environment:
      Variables: {BUCKET: !Sub "${Prefix}-raw", FLAG: true, COUNT: 3, QUEUE: !Ref Failures}
    EventInvokeConfig:
      MaximumRetryAttempts: 1
      MaximumEventAgeInSeconds: 120
      DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Failures.Arn}}
Failures: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Prefix}-failures"}}
"""


def test_load_function_resolves_all_its_properties(load, tmp_path):
    (function,) = load(FUNCTION, region="eu-west-1", parameters={"Size": "256"}).functions.values()
    assert function.name == "Worker"
    assert function.arn == "arn:aws:lambda:eu-west-1:123456789012:function:Worker"
    assert function.handler == "worker.app.handler"
    assert function.runtime == "python3.13"
    assert function.code_dir == tmp_path / "code"
    assert function.layer_dirs == (tmp_path / "layer",)
    assert (function.timeout_s, function.memory_mb, function.ephemeral_storage_mb) == (7, 256, 1024)
    assert function.reserved_concurrency == 4
    assert function.environment == {
        "BUCKET": "demo-raw",
        "FLAG": "true",
        "COUNT": "3",
        "QUEUE": "https://sqs.eu-west-1.amazonaws.com/123456789012/demo-failures",
    }
    failures = "arn:aws:sqs:eu-west-1:123456789012:demo-failures"
    assert function.async_config == AsyncConfig(max_retries=1, max_age_s=120, on_failure=failures)


def test_load_function_without_properties_has_lambdas_defaults(load):
    bare = HEAD.replace(", Timeout: 7", "")
    function = load("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}", bare).functions["F"]
    assert (function.timeout_s, function.memory_mb, function.reserved_concurrency) == (3, 128, None)
    assert function.async_config == AsyncConfig(max_retries=2, max_age_s=21600, on_failure=None)


def test_load_layer_dirs_replace_the_source_by_what_was_built(load, tmp_path):
    built = tmp_path / "built here"
    built.mkdir()
    assert load(FUNCTION, layer_dirs={"Libraries": built}).functions["Worker"].layer_dirs == (built,)


def test_load_bucket_keeps_notifications_versions_and_eventbridge(load):
    deployment = load("""
        F:
          Type: AWS::Serverless::Function
          Properties:
            Handler: a.b
            Events:
              Upload:
                Type: S3
                Properties:
                  Bucket: !Ref Raw
                  Events: [s3:ObjectCreated:Put, s3:ObjectCreated:Copy]
                  Filter: {S3Key: {Rules: [{Name: prefix, Value: in/}, {Name: suffix, Value: .nii}]}}
        Raw:
          Type: AWS::S3::Bucket
          Properties:
            VersioningConfiguration: {Status: Enabled}
            NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
        Other: {Type: AWS::S3::Bucket, Properties: {BucketName: named}}
    """)
    raw, other = deployment.buckets
    assert (raw.name, raw.is_versioned, raw.has_eventbridge) == ("local-raw", True, True)
    assert [(n.events, n.prefix, n.suffix, n.target_arn) for n in raw.notifications] == [
        (("s3:ObjectCreated:Put",), "in/", ".nii", deployment.functions["F"].arn),
        (("s3:ObjectCreated:Copy",), "in/", ".nii", deployment.functions["F"].arn),
    ]
    assert len({notification.configuration_id for notification in raw.notifications}) == 2
    assert (other.name, other.is_versioned, other.has_eventbridge, other.notifications) == ("named", False, False, ())


def test_load_queue_mapping_and_redrive(load):
    deployment = load("""
        F:
          Type: AWS::Serverless::Function
          Properties:
            Handler: a.b
            Events:
              Messages:
                Type: SQS
                Properties:
                  Queue: !GetAtt Work.Arn
                  BatchSize: 4
                  MaximumBatchingWindowInSeconds: 2
                  FunctionResponseTypes: [ReportBatchItemFailures]
        Work:
          Type: AWS::SQS::Queue
          Properties:
            VisibilityTimeout: 90
            RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
        Dead: {Type: AWS::SQS::Queue}
    """)
    work, dead = deployment.queues
    assert work.visibility_timeout_s == 90
    assert work.redrive == RedriveSpec(dead.arn, 3)
    assert dead.redrive is None
    assert deployment.mappings == (MappingSpec(work.arn, "F", 4, 2.0, reports_item_failures=True),)


def test_load_rules_and_schedules(load):
    deployment = load(
        """
        F:
          Type: AWS::Serverless::Function
          Properties:
            Handler: a.b
            Events:
              Uploaded:
                Type: EventBridgeRule
                Properties: {Pattern: {source: [aws.s3], detail: {bucket: {name: [!Ref Existing]}}}}
              Often: {Type: Schedule, Properties: {Schedule: rate(5 minutes), Name: often, Input: '{"a": 1}'}}
              Nightly: {Type: ScheduleV2, Properties: {ScheduleExpression: "cron(0 3 * * ? *)", State: DISABLED}}
    """,
        parameters={"Existing": "theirs"},
    )
    rules = {rule.name: rule for rule in deployment.rules}
    arn = deployment.functions["F"].arn
    assert rules["local-FUploaded"].pattern == {"source": ["aws.s3"], "detail": {"bucket": {"name": ["theirs"]}}}
    assert (rules["often"].schedule, rules["often"].is_enabled) == ("rate(5 minutes)", True)
    assert [(target.arn, target.constant_input) for target in rules["often"].targets] == [(arn, {"a": 1})]
    assert (rules["FNightly"].is_scheduler, rules["FNightly"].is_enabled) == (True, False)


def test_load_leaves_out_resources_whose_condition_is_false(load):
    resources = """
        Ours: {Type: AWS::S3::Bucket}
        Theirs: {Type: AWS::S3::Bucket, Condition: HasExisting}
    """
    assert [bucket.name for bucket in load(resources).buckets] == ["local-ours"]
    with_theirs = load(resources, parameters={"Existing": "x"})
    assert [bucket.name for bucket in with_theirs.buckets] == ["local-ours", "local-theirs"]


def test_load_tells_what_is_not_emulated(load):
    notices = load("""
        Table: {Type: AWS::DynamoDB::Table, Properties: {}}
        Group: {Type: AWS::Logs::LogGroup, Properties: {}}
    """).notices
    assert notices == ("`Table` is a `AWS::DynamoDB::Table`, which is not emulated",)


def test_load_takes_plain_cloudformation_with_dates(load):
    head = "AWSTemplateFormatVersion: 2010-09-09\nResources:\n"
    (bucket,) = load("B: {Type: AWS::S3::Bucket, Properties: {BucketName: 2024-01-02}}", head).buckets
    assert bucket.name == "2024-01-02"


@pytest.mark.parametrize(
    ("resources", "options", "message"),
    [
        (FUNCTION, {"parameters": {"Prefx": "x"}}, "no parameter `Prefx`"),
        (FUNCTION, {"parameters": {"Size": "99"}}, "`Size` is `99`; expected one of 256, 512"),
        (FUNCTION, {"parameters": {"Prefix": "UPPER"}}, "`Prefix` is `UPPER`; expected to match"),
        (FUNCTION, {"layer_dirs": {"Nobody": Path()}}, "no layer `Nobody`"),
        (FUNCTION, {"layer_dirs": {"Worker": Path()}}, "`Worker` is given a layer folder, but is a"),
        (FUNCTION.replace("Failures.Arn", "Nobody.Arn"), {}, "Nobody"),
        ("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: nowhere/}}", {}, "not a folder"),
        ("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, CodeUri: s3://x/y}}", {}, "path of a folder"),
        ("F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13, Layers: [arn:x]}}", {},
         "layer `arn:x`, which is not in the template"),
        ("F: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: x}}", {}, "SAM refuses"),
        ("M: {Type: AWS::Lambda::EventSourceMapping, Properties: {BatchSize: 1}}", {}, "`M` has no `FunctionName`"),
        ("F: {Type: AWS::Lambda::Function, Properties: {PackageType: Image, Code: {}}}", {}, "container images"),
        ("F: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.13}}", {}, "SAM refuses the template"),
        ("R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [{cidr: 1.2.3.4/8}]}}}", {}, "`cidr`"),
        ("R: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(1 day), Targets: [{Arn: arn:x}]}}", {},
         "neither a function nor a queue"),
        ("R: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: hourly}}", {}, "schedule is `hourly`"),
        ("Q: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: {deadLetterTargetArn: x, maxReceiveCount: 1}}}", {},
         "neither a function nor a queue"),
        ("B: {Type: AWS::S3::Bucket, Properties: {BucketName: !GetAtt B.Arn}}", {}, "depends on itself"),
    ],
)  # fmt: skip
def test_load_refuses_a_template_it_cannot_deploy(load, resources, options, message):
    with pytest.raises(TemplateError, match=message):
        load(resources, **options)


def test_load_tells_the_runtime_of_json_logs(load):
    function = """
        F:
          Type: AWS::Serverless::Function
          Properties: {Handler: a.b, LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}}
    """
    environment = load(function).functions["F"].environment
    assert environment == {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}


@pytest.mark.parametrize(
    "text", ["- a\n- list\n", "Resources: [", "Parameters: {}\n", "Resources: {A: 1}", "Resources: {A: {B: 1}}"]
)
def test_load_refuses_what_is_no_template(tmp_path, text):
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        load_deployment(path)


def test_load_needs_a_value_for_a_parameter_without_default(load):
    head = "Parameters: {Name: {Type: String}}\nResources:\n"
    with pytest.raises(TemplateError, match="`Name` has no default"):
        load("B: {Type: AWS::S3::Bucket}", head)


def test_expand_template_gives_cloudformation_with_references(load, tmp_path):
    load(FUNCTION)
    expanded = expand_template(tmp_path / "template.yaml", parameters={"Prefix": "other"})
    assert expanded["Resources"]["Worker"]["Type"] == "AWS::Lambda::Function"
    variables = expanded["Resources"]["Worker"]["Properties"]["Environment"]["Variables"]
    assert variables["BUCKET"] == {"Fn::Sub": "${Prefix}-raw"}
