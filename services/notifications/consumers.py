"""What others tell: owners, employees, and tasks that somebody must be told of."""

from collections.abc import Mapping
from datetime import UTC
from uuid import UUID

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomersChanged
from kejing.identity.v1.events_pb2 import EmployeesChanged
from kejing.tasks.v1 import task_pb2
from kejing.tasks.v1.events_pb2 import TaskNoticed
from services.notifications.storage import inbox, recipients
from services.shared.db import Write
from services.shared.messaging.consumer import Handler

TASK_KINDS = {task_pb2.NOTICE_KIND_REMINDER: "TASK_REMINDER", task_pb2.NOTICE_KIND_OVERDUE: "TASK_OVERDUE"}


async def customers_changed(write: Write, event: Event, payload: CustomersChanged) -> None:
    owners = {
        UUID(facts.id): (facts.version, {UUID(owner.employee_id) for owner in facts.owners})
        for facts in payload.customers
    }
    await recipients.project_owners(write, owners)


async def employees_changed(write: Write, event: Event, payload: EmployeesChanged) -> None:
    rows = [{"id": UUID(facts.id), "active": facts.active, "version": facts.version} for facts in payload.employees]
    await recipients.project_employees(write, rows)


async def task_noticed(write: Write, event: Event, payload: TaskNoticed) -> None:
    kind = TASK_KINDS[payload.kind]
    deadline = payload.deadline_at.ToDatetime(UTC).isoformat()
    item = {
        "cause": f"task/{payload.task_id}/{kind}/{deadline}",  # a moved deadline is told of anew
        "kind": kind,
        "customer_id": UUID(payload.customer_id) if payload.customer_id else None,
        "task_id": UUID(payload.task_id),
        "facts": {"deadline_at": payload.deadline_at.ToJsonString()},
        "late_by": payload.late_by.ToTimedelta(),
    }
    await inbox.add(write, [UUID(recipient) for recipient in payload.recipient_ids], item)


HANDLERS: Mapping[type[Message], Handler] = {
    CustomersChanged: customers_changed,
    EmployeesChanged: employees_changed,
    TaskNoticed: task_noticed,
}
