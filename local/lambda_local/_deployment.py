"""The resources of a stack as the service's own specifications; what is not emulated becomes a notice."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lambda_local._intrinsics import scalar_text
from lambda_local._stack import Stack
from lambda_local.errors import TemplateError
from lambda_local.event_patterns import EventPattern
from lambda_local.resources import (
    DEFAULT_MAX_EVENT_AGE_S,
    DEFAULT_MAX_RETRIES,
    AsyncConfig,
    BucketSpec,
    Deployment,
    FunctionSpec,
    MappingSpec,
    NotificationSpec,
    QueueSpec,
    RedriveSpec,
    RuleSpec,
    TargetSpec,
)
from lambda_local.schedules import rate_s

CodeDir = Callable[[Mapping[str, Any]], Path]

# Resources that matter on AWS and need nothing done here.
_SILENT_TYPES = frozenset(
    {
        "AWS::Lambda::Permission",
        "AWS::Lambda::LayerVersion",
        "AWS::IAM::Role",
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Logs::LogGroup",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::KMS::Key",
        "AWS::KMS::Alias",
    }
)
_BUILT_TYPES = frozenset(
    {
        "AWS::Lambda::Function",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::S3::Bucket",
        "AWS::SQS::Queue",
        "AWS::Events::Rule",
        "AWS::Scheduler::Schedule",
    }
)


def build_deployment(stack: Stack, code_dir: CodeDir) -> Deployment:
    """Gather what a stack deploys.

    Parameters
    ----------
    stack : Stack
    code_dir : callable
        Folder of a function's `Code` or a layer's `Content`.

    Raises
    ------
    TemplateError
        A resource lacks what it needs, or names a target that is not in the stack.
    """
    return _Builder(stack, code_dir).build()


class _Builder:
    def __init__(self, stack: Stack, code_dir: CodeDir) -> None:
        self._stack = stack
        self._code_dir = code_dir
        self._notices: list[str] = []
        self._arns: set[str] = set()

    def build(self) -> Deployment:
        functions = {spec.name: spec for spec in self._functions()}
        queues = tuple(self._queues())
        self._arns = {spec.arn for spec in functions.values()} | {queue.arn for queue in queues}
        for spec in functions.values():
            for arn in (spec.async_config.on_failure, spec.async_config.on_success):
                if arn is not None:
                    self._require_target(arn, spec.logical_id)
        for queue in queues:
            if queue.redrive is not None:
                self._require_target(queue.redrive.dead_letter_arn, queue.name)
        buckets = tuple(self._buckets())
        mappings = tuple(self._mappings(functions, {queue.arn for queue in queues}))
        rules = (*self._rules(), *self._schedules())
        for logical_id, kind in self._stack.types():
            if kind not in _BUILT_TYPES | _SILENT_TYPES:
                self._notices.append(f"`{logical_id}` is a `{kind}`, which is not emulated")
        return Deployment(
            stack_name=self._stack.stack_name,
            region=self._stack.region,
            account_id=self._stack.account_id,
            functions=functions,
            buckets=buckets,
            queues=queues,
            mappings=mappings,
            rules=rules,
            notices=tuple(self._notices),
        )

    def _functions(self) -> Iterator[FunctionSpec]:
        layers = {
            self._stack.arn(logical_id): self._code_dir(properties["Content"])
            for logical_id, properties in self._stack.of_type("AWS::Lambda::LayerVersion")
        }
        configs = {
            properties["FunctionName"]: properties
            for _, properties in self._stack.of_type("AWS::Lambda::EventInvokeConfig")
        }
        for logical_id, properties in self._stack.of_type("AWS::Lambda::Function"):
            if properties.get("PackageType") == "Image" or "Handler" not in properties:
                raise TemplateError(f"function `{logical_id}` has no `Handler`; container images are not emulated")
            missing = [arn for arn in properties.get("Layers", ()) if arn not in layers]
            if missing:
                raise TemplateError(f"function `{logical_id}` uses layer `{missing[0]}`, which is not in the template")
            if "DeadLetterConfig" in properties:
                self._notices.append(
                    f"`{logical_id}` has a `DeadLetterConfig`; use `EventInvokeConfig` for a local one"
                )
            name = self._stack.name(logical_id)
            variables = (properties.get("Environment") or {}).get("Variables") or {}
            variables = variables | _logging_variables(properties.get("LoggingConfig") or {})
            yield FunctionSpec(
                logical_id=logical_id,
                name=name,
                arn=self._stack.arn(logical_id),
                handler=properties["Handler"],
                runtime=properties.get("Runtime", ""),
                code_dir=self._code_dir(properties["Code"]),
                layer_dirs=tuple(layers[arn] for arn in properties.get("Layers", ())),
                environment={key: scalar_text(value) for key, value in variables.items()},
                timeout_s=int(properties.get("Timeout", 3)),
                memory_mb=int(properties.get("MemorySize", 128)),
                ephemeral_storage_mb=int((properties.get("EphemeralStorage") or {}).get("Size", 512)),
                reserved_concurrency=_optional_int(properties.get("ReservedConcurrentExecutions")),
                async_config=_async_config(configs.get(name, {})),
            )

    def _buckets(self) -> Iterator[BucketSpec]:
        for logical_id, properties in self._stack.of_type("AWS::S3::Bucket"):
            configuration = properties.get("NotificationConfiguration") or {}
            if configuration.get("TopicConfigurations"):
                self._notices.append(f"`{logical_id}` notifies an SNS topic, which is not emulated")
            wanted = [(item, "Function") for item in configuration.get("LambdaConfigurations", ())]
            wanted += [(item, "Queue") for item in configuration.get("QueueConfigurations", ())]
            yield BucketSpec(
                name=self._stack.name(logical_id),
                is_versioned=(properties.get("VersioningConfiguration") or {}).get("Status") == "Enabled",
                notifications=tuple(
                    self._notification(logical_id, f"{logical_id}-{number}", item, item[target])
                    for number, (item, target) in enumerate(wanted)
                ),
                has_eventbridge=_has_eventbridge(configuration),
            )

    def _notification(self, bucket: str, identifier: str, item: Mapping[str, Any], target: str) -> NotificationSpec:
        self._require_target(target, bucket)
        rules = ((item.get("Filter") or {}).get("S3Key") or {}).get("Rules", ())
        filters = {rule["Name"].lower(): scalar_text(rule["Value"]) for rule in rules}
        return NotificationSpec(
            configuration_id=identifier,
            events=(item["Event"],),
            prefix=filters.get("prefix", ""),
            suffix=filters.get("suffix", ""),
            target_arn=target,
        )

    def _queues(self) -> Iterator[QueueSpec]:
        for logical_id, properties in self._stack.of_type("AWS::SQS::Queue"):
            redrive = properties.get("RedrivePolicy")
            policy = json.loads(redrive) if isinstance(redrive, str) else redrive
            yield QueueSpec(
                name=self._stack.name(logical_id),
                arn=self._stack.arn(logical_id),
                url=self._stack.queue_url(logical_id),
                visibility_timeout_s=float(properties.get("VisibilityTimeout", 30)),
                redrive=policy and RedriveSpec(policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])),
            )

    def _mappings(self, functions: Mapping[str, FunctionSpec], queue_arns: set[str]) -> Iterator[MappingSpec]:
        names = {spec.arn: name for name, spec in functions.items()}
        for logical_id, properties in self._stack.of_type("AWS::Lambda::EventSourceMapping"):
            source, function = properties.get("EventSourceArn", ""), properties["FunctionName"]
            name = names.get(function, function)
            if source not in queue_arns or name not in functions:
                self._notices.append(
                    f"`{logical_id}` maps `{source}` to `{function}`; only queues of the stack are emulated"
                )
                continue
            if properties.get("Enabled") in (False, "false"):
                continue
            if "FilterCriteria" in properties:
                raise TemplateError(f"`{logical_id}` has `FilterCriteria`, which is not emulated")
            yield MappingSpec(
                queue_arn=source,
                function_name=name,
                batch_size=int(properties.get("BatchSize", 10)),
                batch_window_s=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
                reports_item_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ()),
            )

    def _rules(self) -> Iterator[RuleSpec]:
        for logical_id, properties in self._stack.of_type("AWS::Events::Rule"):
            pattern = properties.get("EventPattern")
            if pattern is not None:
                EventPattern(pattern)  # an operator that is not emulated is better told now than at the first event
            yield RuleSpec(
                name=self._stack.name(logical_id),
                arn=self._stack.arn(logical_id),
                targets=tuple(self._target(logical_id, target) for target in properties.get("Targets", ())),
                pattern=pattern,
                schedule=self._schedule(logical_id, properties.get("ScheduleExpression")),
                is_enabled=properties.get("State", "ENABLED") != "DISABLED",
            )

    def _schedules(self) -> Iterator[RuleSpec]:
        for logical_id, properties in self._stack.of_type("AWS::Scheduler::Schedule"):
            yield RuleSpec(
                name=self._stack.name(logical_id),
                arn=self._stack.arn(logical_id),
                targets=(self._target(logical_id, properties["Target"]),),
                schedule=self._schedule(logical_id, properties["ScheduleExpression"]),
                is_enabled=properties.get("State", "ENABLED") != "DISABLED",
                is_scheduler=True,
            )

    def _schedule(self, owner: str, expression: str | None) -> str | None:
        if expression is not None and rate_s(expression) is None:
            self._notices.append(f"`{owner}` has the schedule `{expression}`, which fires only by hand")
        return expression

    def _target(self, owner: str, target: Mapping[str, Any]) -> TargetSpec:
        for unsupported in ("InputPath", "InputTransformer"):
            if unsupported in target:
                raise TemplateError(f"`{owner}` has a target with `{unsupported}`, which is not emulated")
        self._require_target(target["Arn"], owner)
        return TargetSpec(target["Arn"], json.loads(target["Input"]) if "Input" in target else None)

    def _require_target(self, arn: str, owner: str) -> None:
        if arn not in self._arns:
            raise TemplateError(f"`{owner}` sends to `{arn}`, which is neither a function nor a queue of the template")


def _async_config(properties: Mapping[str, Any]) -> AsyncConfig:
    destinations = properties.get("DestinationConfig") or {}
    return AsyncConfig(
        max_retries=int(properties.get("MaximumRetryAttempts", DEFAULT_MAX_RETRIES)),
        max_age_s=float(properties.get("MaximumEventAgeInSeconds", DEFAULT_MAX_EVENT_AGE_S)),
        on_failure=(destinations.get("OnFailure") or {}).get("Destination"),
        on_success=(destinations.get("OnSuccess") or {}).get("Destination"),
    )


def _logging_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """How Lambda tells the runtime of `LoggingConfig`."""
    if config.get("LogFormat") != "JSON":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": config.get("ApplicationLogLevel", "INFO")}


def _has_eventbridge(configuration: Mapping[str, Any]) -> bool:
    eventbridge = configuration.get("EventBridgeConfiguration")
    # The mere presence of the property switches it on; CloudFormation also takes an explicit flag.
    return eventbridge is not None and scalar_text((eventbridge or {}).get("EventBridgeEnabled", True)) == "true"


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)
