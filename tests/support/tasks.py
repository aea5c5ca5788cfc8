"""A small team with customers, for tests of what it does: tasks, follow-ups, processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay
from sqlalchemy import select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts
from kejing.identity.v1 import (
    departments_service_pb2,
    departments_service_pb2_grpc,
    employees_service_pb2,
    employees_service_pb2_grpc,
)
from kejing.tasks.v1 import (
    follow_ups_service_pb2,
    follow_ups_service_pb2_grpc,
    process_definitions_service_pb2,
    process_definitions_service_pb2_grpc,
    process_pb2,
    process_records_service_pb2_grpc,
    task_pb2,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
    themes_service_pb2_grpc,
)
from services.shared.access import projection
from services.shared.access.tables import employees
from services.shared.db.tables import outbox
from services.shared.ids import new_id
from services.tasks.storage import parties
from tests.support.eventually import eventually
from tests.support.services import RunningServices

MACHINE = "machine:processes"


@dataclass(frozen=True)
class Member:
    """An employee and his stubs of the tasks service."""

    id: str
    tasks: Any
    follow_ups: Any
    definitions: Any
    records: Any
    themes: Any


@dataclass
class Team:
    """`csm` reports to `manager`, who sees what the department owns; `colleague` is another CSM of the department;
    `machine` is the workflows'."""

    services: RunningServices
    department_id: str
    csm: Member
    colleague: Member
    manager: Member
    machine: Member
    _owned: dict[str, int] = field(default_factory=dict)

    async def customer(self, *, owners: dict[str, str] | None = None, label: str = "ACME") -> str:
        """A customer that the customers service told of. `owners`: role → employee id; the CSM and the colleague where
        none are given."""
        customer_id = str(new_id())
        both = {"CSM": self.csm.id, "SALES_MANAGER": self.colleague.id}
        await self.own(customer_id, both if owners is None else owners, label=label)
        return customer_id

    async def own(self, customer_id: str, owners: dict[str, str], *, label: str = "ACME", **validity: Any) -> None:
        """Customers tells who owns a customer from now on; `validity`: valid_from and valid_to of each of them."""
        self._owned[customer_id] = version = self._owned.get(customer_id, 0) + 1
        told = CustomerFacts(
            id=customer_id, number=f"CUS{customer_id[:8]}", name=label, kind=customer_pb2.CUSTOMER_KIND_ENTERPRISE,
            version=version,
            owners=[
                customer_pb2.Owner(
                    role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{role}"), employee_id=employee_id, **validity
                )
                for role, employee_id in owners.items()
            ],
        )  # fmt: skip
        async with self.services.db("tasks").transaction(actor="machine:test", unscoped="customers tells") as write:
            await projection.put_owners(write, [told])
            await parties.keep_customers(write, [told])

    async def employee(
        self, name: str, role_key: str = "CSM", *, leads: bool = False, department_id: str = ""
    ) -> Member:
        """Another employee, whom the tasks service knows already; of the team's department where none is given."""
        return await make_employee(self.services, department_id or self.department_id, name, role_key=role_key)

    async def leave(self, member: Member, successor: Member | None = None) -> None:
        """Deactivates an employee; returns when the tasks service knows."""
        stub = await self.services.stub(employees_service_pb2_grpc.EmployeesServiceStub)
        request = employees_service_pb2.DeactivateEmployeeRequest(
            request_id=rid(), employee_id=member.id, successor_id=successor.id if successor else ""
        )
        await stub.DeactivateEmployee(request)

        async def known() -> bool:
            async with self.services.db("tasks").read() as read:
                query = select(employees.c.active).where(employees.c.id == UUID(member.id))
                return not (await read.execute(query)).scalar_one()

        await eventually(known)

    def new_task(self, customer_id: str, **changes: Any) -> tasks_service_pb2.CreateTaskRequest:
        values: dict[str, Any] = {
            "request_id": str(new_id()), "customer_id": customer_id, "title": "Call them", "theme_key": "value",
            "deadline": deadline_in(days=3),
        }  # fmt: skip
        return tasks_service_pb2.CreateTaskRequest(**{**values, **changes})

    async def task(self, customer_id: str = "", by: Member | None = None, **changes: Any) -> task_pb2.Task:
        """A task of the CSM, or of `by`."""
        request = self.new_task(customer_id or await self.customer(), **changes)
        task: task_pb2.Task = (await (by or self.csm).tasks.CreateTask(request)).task
        return task

    async def get(self, task_id: str) -> task_pb2.Task:
        task: task_pb2.Task = (await self.csm.tasks.GetTask(tasks_service_pb2.GetTaskRequest(task_id=task_id))).task
        return task

    async def follow_up(self, task: task_pb2.Task, by: Member, **changes: Any) -> follow_ups_service_pb2.FollowUp:
        values: dict[str, Any] = {
            "request_id": str(new_id()), "customer_id": task.customer_id, "theme_key": "value", "task_id": task.id,
            "channel": follow_ups_service_pb2.CHANNEL_CALL, "content": "We spoke.",
        }  # fmt: skip
        request = follow_ups_service_pb2.CreateFollowUpRequest(**{**values, **changes})
        recorded: follow_ups_service_pb2.FollowUp = (await by.follow_ups.CreateFollowUp(request)).follow_up
        return recorded

    async def complete(self, task: task_pb2.Task, by: Member | None = None) -> task_pb2.Task:
        request = tasks_service_pb2.CompleteTaskRequest(request_id=str(new_id()), task_id=task.id)
        completed: task_pb2.Task = (await (by or self.csm).tasks.CompleteTask(request)).task
        return completed

    async def definition(self, *stages: process_pb2.Stage, **changes: Any) -> process_pb2.ProcessDefinition:
        """A published definition."""
        values: dict[str, Any] = {
            "request_id": str(new_id()), "key": f"d-{str(new_id())[-12:]}", "name": "Standard delivery",
            "theme_key": "delivery", "stages": stages,
        }  # fmt: skip
        create = process_definitions_service_pb2.CreateProcessDefinitionRequest(**{**values, **changes})
        draft = (await self.manager.definitions.CreateProcessDefinition(create)).definition
        publish = process_definitions_service_pb2.PublishProcessDefinitionRequest(
            request_id=str(new_id()), definition_id=draft.id
        )
        published = (await self.manager.definitions.PublishProcessDefinition(publish)).definition
        assert isinstance(published, process_pb2.ProcessDefinition)
        return published

    async def told(self, kind: type[Message], **only: str) -> list[Any]:
        """The payloads of one kind that the tasks service committed, oldest first; `only`: field path with __."""
        async with self.services.db("tasks").read() as read:
            rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
        found = []
        for row in rows:
            payload = kind()
            if Event.FromString(row).payload.Unpack(payload) and all(
                _at(payload, path) == value for path, value in only.items()
            ):
                found.append(payload)
        return found


async def make_team(services: RunningServices) -> Team:
    """Employees of a department of their own, and their stubs."""
    await services.start("tasks")
    department_id = await make_department(services)
    manager = await make_employee(services, department_id, "boss", role_key="MANAGER", leads=True)
    csm = await make_employee(services, department_id, "csm")
    colleague = await make_employee(services, department_id, "colleague")
    return Team(services, department_id, csm, colleague, manager, await _member(services, "", MACHINE))


async def make_department(services: RunningServices, parent_id: str = "") -> str:
    """The id of a new department below another one, or below the root."""
    stub = await services.stub(departments_service_pb2_grpc.DepartmentsServiceStub)
    request = departments_service_pb2.CreateDepartmentRequest(
        request_id=rid(), name=f"department {rid()[-12:]}", parent_id=parent_id
    )
    department_id: str = (await stub.CreateDepartment(request)).department.id
    return department_id


async def make_employee(
    services: RunningServices, department_id: str, name: str, *, role_key: str = "CSM", leads: bool = False
) -> Member:
    """An employee of whom an event has told the tasks service, and his stubs."""
    stub = await services.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    request = employees_service_pb2.CreateEmployeeRequest(
        request_id=rid(), login=f"{name}-{rid()[-12:]}", display_name=name, role_key=role_key,
        department_id=department_id, leads_department=leads,
    )  # fmt: skip
    made = (await stub.CreateEmployee(request)).employee

    async def known() -> bool:
        async with services.db("tasks").read() as read:
            query = select(employees.c.id).where(employees.c.id == UUID(made.id))
            return (await read.execute(query)).first() is not None

    await eventually(known)
    return await _member(services, made.id, f"employee:{made.login}")


def deadline_in(*, days: int = 0, at: TimeOfDay | None = None) -> task_pb2.Deadline:
    """The business date (Asia/Shanghai) `days` from now."""
    return deadline_on((datetime.now(UTC) + timedelta(hours=8, days=days)).date(), at)


def deadline_after(wait: timedelta) -> task_pb2.Deadline:
    """A time of a business date (Asia/Shanghai), `wait` from now."""
    at = datetime.now(UTC) + timedelta(hours=8) + wait
    return deadline_on(at.date(), TimeOfDay(hours=at.hour, minutes=at.minute, seconds=at.second))


def deadline_on(day: date, at: TimeOfDay | None = None) -> task_pb2.Deadline:
    return task_pb2.Deadline(date=Date(year=day.year, month=day.month, day=day.day), time=at)


def stage(key: str, tasks: Sequence[process_pb2.StageTask] = (), **values: Any) -> process_pb2.Stage:
    return process_pb2.Stage(key=key, name=key.capitalize(), tasks=tasks, **values)


def stage_task(key: str, **values: Any) -> process_pb2.StageTask:
    return process_pb2.StageTask(**{"key": key, "title": key, "required": True, "deadline_offset_days": 2, **values})


def rid() -> str:
    """A new request_id."""
    return str(new_id())


def uid(text: str) -> UUID:
    return UUID(text)


async def _member(services: RunningServices, employee_id: str, caller: str) -> Member:
    return Member(
        employee_id,
        await services.stub(tasks_service_pb2_grpc.TasksServiceStub, caller),
        await services.stub(follow_ups_service_pb2_grpc.FollowUpsServiceStub, caller),
        await services.stub(process_definitions_service_pb2_grpc.ProcessDefinitionsServiceStub, caller),
        await services.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub, caller),
        await services.stub(themes_service_pb2_grpc.ThemesServiceStub, caller),
    )


def _at(message: Any, path: str) -> Any:
    for name in path.split("__"):
        message = getattr(message, name)
    return message
