"""The template, expanded as CloudFormation sees it: no cycle, no wildcard, no missing or overlapping trigger."""

import importlib
import json
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lambda_local.template import expand_template, load_deployment
from pipeline import keys
from pipeline.config import SETTINGS

ROOT = Path(__file__).parent.parent.parent
RUN = "0123456789abcdef01234567"
STAGE_FUNCTIONS = dict(zip(keys.STAGES, ("Conform", "SkullStrip", "BiasCorrect", "Normalize", "Report"), strict=True))
OWN_BUCKET: dict[str, str] = {}
EXISTING_BUCKET = {"ExistingRawBucket": "our-existing-scans"}


@pytest.fixture(scope="module", params=[OWN_BUCKET, EXISTING_BUCKET], ids=["own-bucket", "existing-bucket"])
def expanded(request):
    return expand_template(ROOT / "template.yaml", parameters=request.param)


@pytest.fixture(scope="module")
def deployment():
    return load_deployment(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def functions(deployment):
    return {function.logical_id: function for function in deployment.functions.values()}


def references(value) -> set[str]:
    """Logical ids that a piece of a template refers to."""
    if isinstance(value, dict):
        found = set().union(*(references(item) for item in value.values())) if value else set()
        if "Ref" in value:
            found.add(value["Ref"])
        if "Fn::GetAtt" in value:
            target = value["Fn::GetAtt"]
            found.add(target[0] if isinstance(target, list) else target.split(".")[0])
        if "Fn::Sub" in value:
            text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
            found.update(re.findall(r"\$\{(\w+)[.}]", text))
        return found
    if isinstance(value, list):
        return set().union(*(references(item) for item in value)) if value else set()
    return set()


def statements(expanded):
    """(role, statement) of every inline policy."""
    for name, resource in expanded["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", ()):
                statement = policy["PolicyDocument"]["Statement"]
                for one in statement if isinstance(statement, list) else [statement]:
                    yield name, one["Fn::If"][1] if "Fn::If" in one else one


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_template_has_no_cycle(expanded):
    resources = expanded["Resources"]
    graph = {
        name: (references(resource["Properties"]) | set(as_list(resource.get("DependsOn", [])))) & set(resources)
        for name, resource in resources.items()
        if "Properties" in resource
    }

    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


def test_policies_name_actions_and_resources(expanded):
    found = list(statements(expanded))
    assert len(found) > 20
    for role, statement in found:
        for action in as_list(statement["Action"]):
            assert "*" not in action, f"{role} allows `{action}`"
        for resource in as_list(statement["Resource"]):
            text = json.dumps(resource)
            assert resource != "*", f"{role} allows {statement['Action']} on everything"
            assert not re.search(r"s3:::\*", text), f"{role} reaches every bucket"


def test_policies_let_a_stage_write_only_below_its_own_prefix(expanded):
    for stage, function in STAGE_FUNCTIONS.items():
        written = {
            json.dumps(resource).split("${Prefix}-")[1].rstrip('"}')
            for role, statement in statements(expanded)
            if role == f"{function}Role" and "s3:PutObject" in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }
        own = {target for target in written if target.startswith("work/")}
        assert own == {f"work/{stage}/*"}
        assert f"telemetry/telemetry/{stage}/*" in written
        assert written - own <= {"derivatives/errors/*", "derivatives/*", f"telemetry/telemetry/{stage}/*"}


def test_policies_condition_listing_of_the_work_bucket_by_prefix(expanded):
    for role, statement in statements(expanded):
        lists_work = "s3:ListBucket" in as_list(statement["Action"]) and "-work" in json.dumps(statement["Resource"])
        if lists_work and role != "FailureRole":
            prefixes = as_list(statement["Condition"]["StringLikeIfExists"]["s3:prefix"])
            assert all(prefix.removesuffix("/*") in keys.STAGES for prefix in prefixes), role


def test_work_objects_trigger_the_next_stage_and_nothing_else(deployment, functions):
    (work,) = [bucket for bucket in deployment.buckets if bucket.name.endswith("-work")]
    for stage, following in zip(keys.STAGES, (*keys.STAGES[1:], None), strict=True):
        for key in {keys.output_key(stage, RUN), keys.record_key(stage, RUN)}:
            targets = [n.target_arn for n in work.notifications if key.startswith(n.prefix) and key.endswith(n.suffix)]
            is_trigger = key == keys.output_key(stage, RUN) and following is not None
            expected = [functions[STAGE_FUNCTIONS[following]].arn] if is_trigger else []
            assert targets == expected, key


def test_raw_bucket_has_one_unfiltered_notification(deployment, functions):
    (raw,) = [bucket for bucket in deployment.buckets if bucket.name.endswith("-raw")]
    (notification,) = raw.notifications
    assert (notification.prefix, notification.suffix) == ("", "")
    assert notification.target_arn == functions["Conform"].arn


def test_derivatives_trigger_nothing(deployment):
    (derivatives,) = [bucket for bucket in deployment.buckets if bucket.name.endswith("-derivatives")]
    assert derivatives.notifications == ()


def test_existing_bucket_is_read_by_eventbridge_and_not_made():
    deployment = load_deployment(ROOT / "template.yaml", parameters=EXISTING_BUCKET)

    assert sorted(bucket.name for bucket in deployment.buckets) == [
        "neuro-preprocess-derivatives",
        "neuro-preprocess-telemetry",
        "neuro-preprocess-work",
    ]
    (rule,) = [rule for rule in deployment.rules if rule.pattern]
    assert rule.pattern["detail"]["bucket"]["name"] == ["our-existing-scans"]
    (target,) = rule.targets
    assert deployment.functions[target.arn.split(":")[6]].logical_id == "Conform"


def test_functions_take_only_settings_from_the_table(functions):
    names = {setting.name for setting in SETTINGS}
    needed = {setting.name for setting in SETTINGS if setting.default is None}
    for function in functions.values():
        given = {name for name in function.environment if name.startswith("NEURO_")}
        assert given <= names, function.logical_id
        assert needed <= given, function.logical_id


def test_functions_hand_telemetry_over_where_their_role_may_write_and_redrive_hands_over_none(expanded, functions):
    written = {
        role: json.dumps(statement["Resource"])
        for role, statement in statements(expanded)
        if statement["Action"] == "s3:PutObject" and "-telemetry/telemetry/" in json.dumps(statement["Resource"])
    }
    for name, function in functions.items():
        handoff = function.environment.get("OTEL_LAMBDA_HANDOFF_URI")
        if name == "Redrive":
            assert handoff is None
            continue
        bucket, _, prefix = handoff.removeprefix("s3://").partition("/")
        assert bucket == "neuro-preprocess-telemetry"
        assert f"-telemetry/{prefix}/*" in written[f"{name}Role"]


def test_handed_over_telemetry_triggers_redrive_and_nothing_else_does(deployment, functions):
    (bucket,) = [bucket for bucket in deployment.buckets if bucket.name.endswith("-telemetry")]
    handed_over = "telemetry/conform/f/2026/11/25/101530.123-a.otlp.gz"
    keys_and_targets = {
        key: [n.target_arn for n in bucket.notifications if key.startswith(n.prefix) and key.endswith(n.suffix)]
        for key in (handed_over, handed_over.replace("otlp", "refused"), f"poison/{handed_over}")
    }
    assert list(keys_and_targets.values()) == [[functions["Redrive"].arn], [], []]


def test_functions_have_importable_handlers(functions):
    assert set(STAGE_FUNCTIONS.values()) < set(functions)
    for function in functions.values():
        module, _, attribute = function.handler.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), function.handler


def test_functions_state_limits_retries_and_a_failure_destination(functions):
    for function in functions.values():
        assert function.timeout_s >= 30
        assert function.memory_mb >= 256
        assert function.ephemeral_storage_mb == 512
        assert function.async_config.max_retries == 2
        is_operating = function.logical_id in ("Failure", "Redrive")  # what fails in them is no scan
        queue = "FailureDeadLetterQueue" if is_operating else "FailureQueue"
        assert queue in function.async_config.on_failure


def test_buckets_are_encrypted_and_private(expanded):
    buckets = [r["Properties"] for r in expanded["Resources"].values() if r["Type"] == "AWS::S3::Bucket"]
    assert len(buckets) == 4
    for bucket in buckets:
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_work_expires_and_logs_are_kept_for_a_stated_time(expanded):
    resources = expanded["Resources"]
    (rule,) = resources["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 14
    groups = {name: r for name, r in resources.items() if r["Type"] == "AWS::Logs::LogGroup"}
    functions = [r for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    assert {f["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for f in functions} == set(groups)
    assert all("RetentionInDays" in group["Properties"] for group in groups.values())


def test_every_function_logs_in_json(expanded):
    functions = [r for r in expanded["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    configs = [function["Properties"]["LoggingConfig"] for function in functions]
    assert {(config["LogFormat"], config["ApplicationLogLevel"]) for config in configs} == {("JSON", "INFO")}
