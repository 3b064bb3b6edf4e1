"""Who gets which event: from S3, EventBridge and schedules to functions and queues."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from lambda_local.activity import Activity
from lambda_local.event_patterns import EventPattern
from lambda_local.events import ObjectCreated, ServiceEvent
from lambda_local.notifications import S3Event, eventbridge_event, matching, notification_event
from lambda_local.resources import BucketSpec, Deployment, RuleSpec
from lambda_local.schedules import scheduled_event


class Router:
    """Sends events where the deployment says.

    Parameters
    ----------
    deployment : Deployment
    deliveries : int
        How often each event of S3 is sent.
    publish : callable
    activity : Activity
    """

    def __init__(
        self, deployment: Deployment, *, deliveries: int, publish: Callable[[ServiceEvent], None], activity: Activity
    ) -> None:
        self._account_id = deployment.account_id
        self._region = deployment.region
        self._deliveries = deliveries
        self._publish = publish
        self._activity = activity
        self._rules = [
            (rule, EventPattern(rule.pattern))
            for rule in deployment.rules
            if rule.is_enabled and rule.pattern is not None
        ]
        self._buckets: dict[str, BucketSpec] = {}
        self._recipients: dict[str, Callable[[str], object]] = {}

    def connect(self, arn: str, send: Callable[[str], object]) -> None:
        """Let the function or queue of an ARN be reached; `send` gets JSON text."""
        self._recipients[arn] = send

    def add_bucket(self, spec: BucketSpec) -> None:
        """Heed the notifications of a bucket; of one that was not added, nobody is told."""
        self._buckets[spec.name] = spec

    def deliver(self, arn: str, content: str) -> None:
        """Send JSON text to the function or queue of an ARN."""
        self._recipients[arn](content)

    def on_s3_event(self, event: S3Event) -> None:
        """Send what happened to an object to whom the bucket's notifications and the rules name."""
        with self._activity.piece():
            if event.is_created:
                told = ObjectCreated(event.bucket, event.key, event.size_bytes, event.version_id, event.name)
                self._publish(told)
            bucket = self._buckets.get(event.bucket)
            if bucket is not None:
                for _ in range(self._deliveries):
                    self._notify(bucket, event)

    def put_event(self, event: Mapping[str, Any]) -> int:
        """Send an event to the targets of the rules it matches; how many rules there are."""
        matched = [rule for rule, pattern in self._rules if pattern.matches(event)]
        for rule in matched:
            self._send_to_targets(rule, event)
        return len(matched)

    def fire(self, rule: RuleSpec) -> None:
        """Send a schedule's event to its targets."""
        self._send_to_targets(rule, scheduled_event(rule, self._account_id, self._region))

    def _notify(self, bucket: BucketSpec, event: S3Event) -> None:
        for notification in matching(bucket.notifications, event):
            content = notification_event(event, notification.configuration_id, self._region)
            self.deliver(notification.target_arn, json.dumps(content))
        if bucket.has_eventbridge:
            self.put_event(eventbridge_event(event, self._account_id, self._region))

    def _send_to_targets(self, rule: RuleSpec, event: Mapping[str, Any]) -> None:
        for target in rule.targets:
            content = event if target.constant_input is None else target.constant_input
            self.deliver(target.arn, json.dumps(content))
