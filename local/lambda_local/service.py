"""The service: everything of a deployment, wired together and running."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from lambda_local._instance import InstanceConfig
from lambda_local._launch import check_wrapper
from lambda_local._process import Guardian
from lambda_local._sandbox import Isolation, RuntimeConfig, Sandboxes
from lambda_local.activity import Activity
from lambda_local.async_queue import AsyncQueue
from lambda_local.environment import EnvironmentConfig
from lambda_local.errors import FunctionNotFoundError, PayloadError, ServiceStoppedError, TemplateError, ThrottledError
from lambda_local.events import Callback, EventBus, InvocationEnded, Outcome
from lambda_local.invoke_api import InvokeApi, InvokeResult
from lambda_local.log import LogFiles
from lambda_local.options import ServiceOptions
from lambda_local.pool import ConcurrencyLimits, FunctionPool
from lambda_local.queues import Poller, Queue
from lambda_local.resources import BucketSpec, Deployment
from lambda_local.router import Router
from lambda_local.runtime_api import Invocation, new_trace_header
from lambda_local.s3 import S3Endpoint
from lambda_local.schedules import ScheduleClock

MAX_SYNC_PAYLOAD_BYTES = 6 * 1024 * 1024
MAX_ASYNC_PAYLOAD_BYTES = 1024 * 1024


class LambdaService:
    """Runs a deployment on this machine: use it as a context manager, or call `start` and `stop`, once each.

    Parameters
    ----------
    deployment : Deployment
        From `load_deployment`.
    runtime : RuntimeConfig
        What stands for AWS's Python runtime.
    options : ServiceOptions, optional

    Attributes
    ----------
    s3 : S3Endpoint
        With `url`, `client()` and `faults`. There while the service runs.
    queues : mapping of str to Queue
        By name.
    isolation : Isolation
        What the environments have. There while the service runs.
    """

    s3: S3Endpoint
    isolation: Isolation

    def __init__(self, deployment: Deployment, runtime: RuntimeConfig, options: ServiceOptions | None = None) -> None:
        self.deployment = deployment
        self.queues: Mapping[str, Queue] = {}
        self._runtime = runtime
        self._options = options or ServiceOptions()
        self._bus = EventBus()
        self._activity = Activity()
        self._pools: Mapping[str, FunctionPool] = {}
        self._router = Router(
            deployment, deliveries=self._options.deliveries, publish=self._bus.publish, activity=self._activity
        )
        self._undo = ExitStack()
        self._lock = threading.Lock()
        self._is_running = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the buckets and queues and begin to serve. Processes start when they are first needed.

        Raises
        ------
        TemplateError
            A function's wrapper script cannot be run.
        IsolationError
            Namespaces are asked for and not possible.
        OSError
            A port that was asked for is taken.
        """
        for function in self.deployment.functions.values():
            check_wrapper(function, self._options.environment)
        with ExitStack() as undo:
            self._start(undo)
            self._undo = undo.pop_all()
        self._is_running = True

    def stop(self) -> None:
        """End every process, thread and connection; what runs is killed, what waits is dropped (`drain` before)."""
        with self._lock:
            undo, self._undo = self._undo, ExitStack()
            self._is_running = False
        undo.close()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Tell `callback` of everything that happens, from one thread, in order; gives a function that ends it."""
        return self._bus.subscribe(callback)

    def drain(self, timeout_s: float) -> bool:
        """Wait until no invocation, retry or mapped message is left and the subscribers have been told.

        Returns
        -------
        bool
            False: there was still work after `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while self._activity.wait_idle(end - time.monotonic()):
            if not self._bus.flush(end - time.monotonic()):
                return False
            if self._activity.count == 0:  # no subscriber began anything new
                return True
        return False

    @property
    def lambda_url(self) -> str:
        """Endpoint of the Invoke API."""
        return f"http://{self._api.address}"

    def create_bucket(self, spec: BucketSpec) -> None:
        """Make a bucket that is not in the template, such as one that exists before the stack does."""
        self.s3.create_bucket(spec)
        self._router.add_bucket(spec)

    def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        client_context: str | None = None,
        trace_id: str | None = None,
        needs_log: bool = False,
    ) -> InvokeResult:
        """Run a function and wait for its answer.

        Parameters
        ----------
        function : str
            Its name.
        payload : bytes
            JSON.
        client_context, trace_id : str, optional
        needs_log : bool
            Wait for the end of the log as well.

        Raises
        ------
        FunctionNotFoundError, PayloadError, ThrottledError, ServiceStoppedError
        """
        self.check_payload(function, payload, is_async=False)
        invocation = Invocation(
            str(uuid4()), payload, trace_id=trace_id or new_trace_header(), client_context=client_context
        )
        try:
            job = self._pools[function].invoke(invocation, patience_s=0.0)
        except ThrottledError:
            self._bus.publish(_throttled(function, invocation))
            raise
        answer = job.answer.result()
        return InvokeResult(
            status_code=200,
            payload=answer.payload,
            function_error=None if answer.outcome is Outcome.OK else "Unhandled",
            request_id=invocation.request_id,
            log_tail=job.log_tail.result() if needs_log else b"",
        )

    def invoke_async(self, function: str, payload: bytes, *, trace_id: str | None = None) -> str:
        """Queue an event for a function; its request id.

        Raises
        ------
        FunctionNotFoundError, PayloadError, ServiceStoppedError
        """
        self.check_payload(function, payload, is_async=True)
        return self._async.enqueue(function, payload.decode(), trace_id=trace_id)

    def check_payload(self, function: str, payload: bytes, *, is_async: bool) -> None:
        """Raise what an invocation would be refused with."""
        self._require_running()
        if function not in self.deployment.functions:
            known = ", ".join(sorted(self.deployment.functions))
            raise FunctionNotFoundError(f"no function `{function}`; there are {known}")
        limit = MAX_ASYNC_PAYLOAD_BYTES if is_async else MAX_SYNC_PAYLOAD_BYTES
        if len(payload) > limit:
            raise PayloadError(f"the payload has {len(payload)} bytes; Lambda takes {limit}", is_too_large=True)
        try:
            json.loads(payload.decode())
        except ValueError as exc:
            raise PayloadError(f"the payload is not JSON: {exc}", is_too_large=False) from exc

    def put_event(self, event: Mapping[str, Any]) -> int:
        """Give an event to EventBridge; how many rules it matched.

        Raises
        ------
        ServiceStoppedError
        """
        self._require_running()
        return self._router.put_event(event)

    def fire_schedule(self, name: str) -> None:
        """Let a schedule's time come now.

        Raises
        ------
        ServiceStoppedError
        TemplateError
            There is no schedule of that name.
        """
        self._require_running()
        rule = next((rule for rule in self.deployment.rules if rule.name == name and rule.schedule is not None), None)
        if rule is None:
            raise TemplateError(f"the template has no schedule `{name}`")
        self._router.fire(rule)

    def _require_running(self) -> None:
        if not self._is_running:
            raise ServiceStoppedError("the service does not run")

    def _start(self, undo: ExitStack) -> None:
        options, deployment = self._options, self.deployment
        # What is started first is stopped last: it is pushed in this order and undone in the reverse one.
        if options.log_dir is not None:
            files = LogFiles(options.log_dir)
            undo.callback(files.close)
            self._bus.subscribe(files)
        self._bus.start()
        undo.callback(self._bus.close)
        guardian = Guardian()
        undo.callback(guardian.close)

        self.s3 = S3Endpoint(
            self._router.on_s3_event,
            region=deployment.region,
            host=options.host,
            port=options.s3_port,
            missing_key_is_403=options.missing_key_is_403,
        )
        self.s3.start()
        undo.callback(self.s3.stop)
        self._api = InvokeApi(self, options.host, options.lambda_port)
        undo.callback(self._api.stop)

        limits = ConcurrencyLimits(
            options.concurrency,
            {
                name: spec.reserved_concurrency
                for name, spec in deployment.functions.items()
                if spec.reserved_concurrency is not None
            },
        )
        sandboxes = Sandboxes(guardian.root, self._runtime, options.isolation)
        self.isolation = sandboxes.isolation
        config = EnvironmentConfig(
            instance=InstanceConfig(
                runtime=self._runtime,
                guardian=guardian,
                region=deployment.region,
                variables=self._variables(),
                has_telemetry_api=options.has_telemetry_api,
                publish=self._bus.publish,
            ),
            sandboxes=sandboxes,
            init_limit_s=options.init_limit_s,
            idle_s=options.idle_s,
            freezes_idle=options.freezes_idle,
        )
        self._pools = {
            name: FunctionPool(spec, limits, config, self._activity) for name, spec in deployment.functions.items()
        }
        self._start_queues(undo)
        for pool in self._pools.values():
            undo.callback(pool.join)
        for pool in self._pools.values():
            undo.callback(pool.stop)
        undo.callback(limits.close)
        for queue in self.queues.values():
            undo.callback(queue.close)

        for bucket in deployment.buckets:
            self.create_bucket(bucket)
        self._api.start()
        clock = ScheduleClock(deployment.rules, self._router.fire)
        clock.start()
        undo.callback(clock.close)

    def _start_queues(self, undo: ExitStack) -> None:
        deployment, options = self.deployment, self._options
        self._async = AsyncQueue(
            self._pools,
            deliver=self._router.deliver,
            activity=self._activity,
            publish=self._bus.publish,
            time_scale=options.time_scale,
        )
        undo.callback(self._async.close)
        mapped = {mapping.queue_arn for mapping in deployment.mappings}
        self.queues = {
            spec.name: Queue(
                spec,
                activity=self._activity if spec.arn in mapped else None,
                send_dead=partial(self._router.deliver, spec.redrive.dead_letter_arn) if spec.redrive else None,
                publish=self._bus.publish,
                time_scale=options.time_scale,
            )
            for spec in deployment.queues
        }
        by_arn = {queue.spec.arn: queue for queue in self.queues.values()}
        for arn, queue in by_arn.items():
            self._router.connect(arn, queue.send)
        for name, function in deployment.functions.items():
            self._router.connect(function.arn, partial(self._async.enqueue, name))
        for mapping in deployment.mappings:
            poller = Poller(mapping, by_arn[mapping.queue_arn], self._pools[mapping.function_name], deployment.region)
            poller.start()
            undo.callback(poller.join)

    def _variables(self) -> dict[str, str]:
        endpoints = {
            "AWS_ENDPOINT_URL_S3": self.s3.url,
            "AWS_ENDPOINT_URL_LAMBDA": self.lambda_url,
            # Everything else is told that it is not emulated, and never reaches AWS.
            "AWS_ENDPOINT_URL": self.lambda_url,
        }
        return endpoints | dict(self._options.environment)


def _throttled(function: str, invocation: Invocation) -> InvocationEnded:
    return InvocationEnded(
        function=function,
        request_id=invocation.request_id,
        attempt=invocation.attempt,
        environment_id="",
        outcome=Outcome.THROTTLED,
        is_cold=False,
        duration_ms=0.0,
        init_duration_ms=None,
        max_memory_mb=0,
        error_type=None,
    )
