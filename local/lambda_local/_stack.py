"""A transformed template with the names its resources would have: what `Ref` and `Fn::GetAtt` give for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_local._intrinsics import NO_VALUE, Resolver
from lambda_local.errors import TemplateError

# Property that holds the physical name, by resource type.
_NAME_PROPERTY = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Events::Rule": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Logs::LogGroup": "LogGroupName",
}


class Properties(dict[str, Any]):
    """Properties of a resource; asking for one it lacks names the resource."""

    def __init__(self, logical_id: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._logical_id = logical_id

    def __missing__(self, name: str) -> Any:
        raise TemplateError(f"resource `{self._logical_id}` has no `{name}`")


@dataclass
class Stack:
    """Resources of a transformed template and the means to resolve values in them.

    Attributes
    ----------
    template : mapping
        CloudFormation, without SAM.
    parameters : mapping
        Value of each parameter.
    stack_name, region, account_id : str
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, Any]
    stack_name: str
    region: str
    account_id: str
    _open_names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._resources: Mapping[str, Any] = self.template["Resources"]
        self._resolver = Resolver(
            self._reference,
            self.attribute,
            self.template.get("Conditions") or {},
            self.template.get("Mappings") or {},
        )

    def of_type(self, resource_type: str) -> Iterator[tuple[str, "Properties"]]:
        """Logical id and resolved properties of the resources of a type whose condition holds."""
        for logical_id, resource in self._resources.items():
            if resource.get("Type") == resource_type and self._exists(resource):
                try:
                    properties = self._resolver.resolve(resource.get("Properties") or {})
                except TemplateError as exc:
                    raise TemplateError(f"resource `{logical_id}`: {exc}") from exc
                yield logical_id, Properties(logical_id, properties)

    def types(self) -> Iterator[tuple[str, str]]:
        """Logical id and type of every resource whose condition holds."""
        for logical_id, resource in self._resources.items():
            if self._exists(resource):
                yield logical_id, resource["Type"]

    def name(self, logical_id: str) -> str:
        """Physical name of a resource: what the template says, else one made from stack and logical id."""
        resource = self._resources[logical_id]
        given = (resource.get("Properties") or {}).get(_NAME_PROPERTY.get(resource["Type"], ""))
        if given is not None:
            if logical_id in self._open_names:
                raise TemplateError(f"the name of `{logical_id}` depends on itself")
            self._open_names.append(logical_id)
            try:
                given = self._resolver.resolve(given)
            finally:
                self._open_names.pop()
        if given is not None and given is not NO_VALUE:
            return str(given)
        if resource["Type"] == "AWS::S3::Bucket":
            return f"{self.stack_name}-{logical_id}".lower()
        # A function is called by its short name locally; no two stacks share one service.
        return logical_id if resource["Type"] == "AWS::Lambda::Function" else f"{self.stack_name}-{logical_id}"

    def arn(self, logical_id: str) -> str:
        """ARN of a resource."""
        name, where = self.name(logical_id), f"{self.region}:{self.account_id}"
        forms = {
            "AWS::S3::Bucket": f"arn:aws:s3:::{name}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{where}:{name}",
            "AWS::SNS::Topic": f"arn:aws:sns:{where}:{name}",
            "AWS::Lambda::Function": f"arn:aws:lambda:{where}:function:{name}",
            "AWS::Lambda::LayerVersion": f"arn:aws:lambda:{where}:layer:{name}:1",
            "AWS::Events::Rule": f"arn:aws:events:{where}:rule/{name}",
            "AWS::Scheduler::Schedule": f"arn:aws:scheduler:{where}:schedule/default/{name}",
            "AWS::IAM::Role": f"arn:aws:iam::{self.account_id}:role/{name}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{where}:log-group:{name}:*",
        }
        kind = self._resources[logical_id]["Type"]
        return forms.get(kind, f"arn:aws:{kind.split('::')[1].lower()}:{where}:{name}")

    def queue_url(self, logical_id: str) -> str:
        """URL of an SQS queue."""
        return f"https://sqs.{self.region}.amazonaws.com/{self.account_id}/{self.name(logical_id)}"

    def attribute(self, logical_id: str, attribute: str) -> str:
        """What `Fn::GetAtt` gives; for attributes that have no local meaning, a text that says which it is.

        Raises
        ------
        KeyError
            There is no such resource.
        """
        kind = self._resources[logical_id]["Type"]
        if attribute in ("Arn", "TopicArn", "LayerVersionArn"):
            return self.arn(logical_id)
        if attribute in ("QueueName", "TopicName"):
            return self.name(logical_id)
        if attribute == "QueueUrl":
            return self.queue_url(logical_id)
        if kind == "AWS::S3::Bucket" and attribute in ("DomainName", "RegionalDomainName", "DualStackDomainName"):
            return f"{self.name(logical_id)}.s3.{self.region}.amazonaws.com"
        return f"{self.name(logical_id)}.{attribute}"

    def _reference(self, name: str) -> Any:
        pseudo = {
            "AWS::Region": self.region,
            "AWS::AccountId": self.account_id,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack_name,
            "AWS::StackId": f"arn:aws:cloudformation:{self.region}:{self.account_id}:stack/{self.stack_name}/local",
            "AWS::NotificationARNs": [],
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        kind = self._resources[name]["Type"]
        if kind == "AWS::SQS::Queue":
            return self.queue_url(name)
        return self.arn(name) if kind in ("AWS::SNS::Topic", "AWS::Lambda::LayerVersion") else self.name(name)

    def _exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self._resolver.is_true(resource["Condition"])
