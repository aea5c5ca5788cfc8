"""Calls from the workflows' process to the services, and what becomes of their refusals.

A refusal travels unharmed from a service to the caller of an order: gRPC status → ApplicationError with the status in
its details (activity, update handler) → the same refusal again (ProcessesService).
"""

import asyncio
from collections.abc import Awaitable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from kejing.customers.v1 import (
    customers_service_pb2_grpc,
    days_service_pb2_grpc,
    imports_service_pb2_grpc,
    segments_service_pb2_grpc,
)
from kejing.health.v1 import alerts_service_pb2_grpc, evaluations_service_pb2_grpc
from kejing.notifications.v1 import inbox_service_pb2_grpc
from kejing.tasks.v1 import (
    process_definitions_service_pb2_grpc,
    process_records_service_pb2_grpc,
    tasks_service_pb2_grpc,
)
from services.shared.errors import Refusal, Violation
from services.shared.rpc.client import AsMachine, Forwarding, MachineToken, channel
from workflows.settings import WorkflowsSettings

MACHINE = "processes"

FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
}
"""Statuses that asking again doesn't change."""

STEP_SECONDS = 30.0
"""The deadline of a call that does a step of bulk work."""
BEAT_SECONDS = 1.5

Answer = TypeVar("Answer", bound=Message)


class Clients:
    """Stubs of the services that workflows call: as the machine "processes", but for one, which forwards the token of
    whoever gives an order."""

    def __init__(self, settings: WorkflowsSettings) -> None:
        self.identity = channel(settings.identity_address)
        as_machine = AsMachine(MachineToken(self.identity, settings.machine_key_file, MACHINE))
        addresses = {name: getattr(settings, f"{name}_address")
                     for name in ("tasks", "customers", "health", "notifications")}  # fmt: skip
        self._channels = {name: channel(address, as_machine) for name, address in addresses.items()}
        self._forwarding = channel(settings.tasks_address, Forwarding())
        tasks, customers = self._channels["tasks"], self._channels["customers"]
        self.tasks = tasks_service_pb2_grpc.TasksServiceStub(tasks)
        self.process_records = process_records_service_pb2_grpc.ProcessRecordsServiceStub(tasks)
        self.process_definitions = process_definitions_service_pb2_grpc.ProcessDefinitionsServiceStub(tasks)
        self.customers = customers_service_pb2_grpc.CustomersServiceStub(customers)
        self.imports = imports_service_pb2_grpc.ImportsServiceStub(customers)
        self.days = days_service_pb2_grpc.DaysServiceStub(customers)
        self.segments = segments_service_pb2_grpc.SegmentsServiceStub(customers)
        self.evaluations = evaluations_service_pb2_grpc.EvaluationsServiceStub(self._channels["health"])
        self.alerts = alerts_service_pb2_grpc.AlertsServiceStub(self._channels["health"])
        self.inbox = inbox_service_pb2_grpc.InboxServiceStub(self._channels["notifications"])
        self.records_for_caller = process_records_service_pb2_grpc.ProcessRecordsServiceStub(self._forwarding)

    async def close(self) -> None:
        for opened in [self.identity, self._forwarding, *self._channels.values()]:
            await opened.close()


async def ask(call: Awaitable[Answer], again: Collection[str] = ()) -> Answer:
    """The answer to a call made by an activity. Refusals with a reason in `again` pass with time: they are retried.

    Raises:
        ApplicationError: the service refused. `type` is the refusal's reason, `details[0]` the serialized
            google.rpc.Status; non-retryable where asking again would change nothing.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        status = status_of(error)
        reason = reason_of(status)
        raise ApplicationError(
            status.message,
            status.SerializeToString(),
            type=reason,
            category=ApplicationErrorCategory.BENIGN,  # an answer, not an accident: no stack in the log
            non_retryable=error.code() in FINAL and reason not in again,
        ) from None


async def beating(call: Awaitable[Answer]) -> Answer:
    """The answer to a call made by an activity that has a heartbeat, which it gives while it waits."""
    waiting = asyncio.ensure_future(call)
    try:
        while not (await asyncio.wait([waiting], timeout=BEAT_SECONDS))[0]:
            activity.heartbeat()
        return waiting.result()
    finally:
        waiting.cancel()


@contextmanager
def refusals() -> Iterator[None]:
    """Around a call on behalf of a caller: the service's refusal becomes ours, unchanged."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise refusal_of(status_of(error)) from None


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status of a failed call; made up from code and message where the server sent none."""
    status = rpc_status.from_call(error)
    return status or status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def reason_of(status: status_pb2.Status) -> str:
    """The refusal's stable reason; the name of its code where it states none."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.reason
    return str(code_pb2.Code.Name(status.code))


def refusal_of(status: status_pb2.Status) -> Refusal:
    """The refusal that `status` was made from."""
    info, fields, conditions = (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(),
                                error_details_pb2.PreconditionFailure())  # fmt: skip
    violations: list[Violation] = []
    for detail in status.details:
        if detail.Unpack(info):
            continue
        if detail.Unpack(fields):
            violations = [Violation(v.field, v.description) for v in fields.field_violations]
        elif detail.Unpack(conditions):
            violations = [Violation(v.subject, v.description) for v in conditions.violations]
    refusal = Refusal(reason_of(status), status.message, violations=violations, **info.metadata)
    refusal.code = code_pb2.Code.Name(status.code)
    return refusal


def refusal_of_error(error: ApplicationError) -> Refusal:
    """The refusal that an update failed with: a service's own, or one by the workflow's rules.

    The latter carries the name of its status code in `details[0]`.
    """
    told = error.details[0] if error.details else "INTERNAL"
    if isinstance(told, bytes):
        return refusal_of(status_pb2.Status.FromString(told))
    refusal = Refusal(error.type or "INTERNAL", error.message)
    refusal.code = str(told)
    return refusal
