"""People to test with: departments, roles and employees, made as an administrator makes them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select

from kejing.common.v1 import permission_pb2
from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1 import (
    departments_service_pb2,
    departments_service_pb2_grpc,
    deputies_service_pb2,
    employee_pb2,
    employees_service_pb2,
    employees_service_pb2_grpc,
    roles_service_pb2,
    roles_service_pb2_grpc,
)
from services.shared.clock import business_date, utc_now
from services.shared.db.tables import outbox
from services.shared.rpc.wire import to_date
from services.shared.settings import Settings
from tests.support.services import RunningServices

ZONE = Settings.model_fields["business_time_zone"].default


def fresh(word: str) -> str:
    """A name that nobody else has."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


@dataclass
class People:
    """Makes and changes people as one caller."""

    services: RunningServices
    departments: Any
    employees: Any
    roles: Any

    @classmethod
    async def by(cls, services: RunningServices, caller: str = "employee:admin") -> "People":
        return cls(
            services,
            await services.stub(departments_service_pb2_grpc.DepartmentsServiceStub, caller),
            await services.stub(employees_service_pb2_grpc.EmployeesServiceStub, caller),
            await services.stub(roles_service_pb2_grpc.RolesServiceStub, caller),
        )

    async def department(self, parent_id: str = "", name: str = "") -> str:
        """Answers its id."""
        request = departments_service_pb2.CreateDepartmentRequest(
            request_id=fresh("r"), name=name or fresh("department"), parent_id=parent_id
        )
        return str((await self.departments.CreateDepartment(request)).department.id)

    async def get_department(self, department_id: str) -> employee_pb2.Department:
        token = ""
        while True:
            request = departments_service_pb2.ListDepartmentsRequest(page_size=500, page_token=token)
            page = await self.departments.ListDepartments(request)
            for department in page.departments:
                if department.id == department_id:
                    return department  # type: ignore[no-any-return]
            token = page.next_page_token
            if not token:
                raise LookupError(department_id)

    async def update_department(self, department_id: str, **changes: Any) -> employee_pb2.Department:
        request = departments_service_pb2.UpdateDepartmentRequest(
            request_id=fresh("r"), department_id=department_id, **changes
        )
        return (await self.departments.UpdateDepartment(request)).department  # type: ignore[no-any-return]

    async def move(self, department_id: str, parent_id: str) -> employee_pb2.Department:
        request = departments_service_pb2.MoveDepartmentRequest(
            request_id=fresh("r"), department_id=department_id, parent_id=parent_id
        )
        return (await self.departments.MoveDepartment(request)).department  # type: ignore[no-any-return]

    async def delete_department(self, department_id: str) -> None:
        request = departments_service_pb2.DeleteDepartmentRequest(request_id=fresh("r"), department_id=department_id)
        await self.departments.DeleteDepartment(request)

    async def employee(
        self, department_id: str = "", role: str = "CSM", *, leads: bool = False
    ) -> employee_pb2.Employee:
        request = employees_service_pb2.CreateEmployeeRequest(
            request_id=fresh("r"),
            login=fresh("e"),
            display_name="李 Li",
            department_id=department_id,
            role_key=role,
            leads_department=leads,
        )
        return (await self.employees.CreateEmployee(request)).employee  # type: ignore[no-any-return]

    async def get(self, employee_id: str) -> employee_pb2.Employee:
        request = employees_service_pb2.GetEmployeeRequest(employee_id=employee_id)
        return (await self.employees.GetEmployee(request)).employee  # type: ignore[no-any-return]

    async def update(self, employee_id: str, **changes: Any) -> employee_pb2.Employee:
        request = employees_service_pb2.UpdateEmployeeRequest(request_id=fresh("r"), employee_id=employee_id, **changes)
        return (await self.employees.UpdateEmployee(request)).employee  # type: ignore[no-any-return]

    async def deactivate(self, employee_id: str, successor_id: str = "") -> employee_pb2.Employee:
        request = employees_service_pb2.DeactivateEmployeeRequest(
            request_id=fresh("r"), employee_id=employee_id, successor_id=successor_id
        )
        return (await self.employees.DeactivateEmployee(request)).employee  # type: ignore[no-any-return]

    async def reactivate(self, employee_id: str) -> employee_pb2.Employee:
        request = employees_service_pb2.ReactivateEmployeeRequest(request_id=fresh("r"), employee_id=employee_id)
        return (await self.employees.ReactivateEmployee(request)).employee  # type: ignore[no-any-return]

    async def list_roles(self) -> list[employee_pb2.Role]:
        return list((await self.roles.ListRoles(roles_service_pb2.ListRolesRequest())).roles)

    async def role(self, *permissions: str, scope: str = "OWN") -> str:
        """Makes a role with these permissions (names of the catalogue without their prefix); answers its key."""
        request = roles_service_pb2.CreateRoleRequest(
            request_id=fresh("r"),
            key=fresh("R").upper().replace("-", "_"),
            name="A role",
            permissions=numbers(permissions),
            scope=permission_pb2.Scope.Value(f"SCOPE_{scope}"),
        )
        return str((await self.roles.CreateRole(request)).role.key)


def day(offset: int) -> date:
    """The business date so many days from today."""
    return business_date(utc_now(), ZONE) + timedelta(days=offset)


def deputyship(
    deputy_id: str, first: int = 0, last: int = 7, absent_id: str = ""
) -> deputies_service_pb2.CreateDeputyRequest:
    """To name a deputy, from and until so many days from today."""
    return deputies_service_pb2.CreateDeputyRequest(
        request_id=fresh("r"), absent_id=absent_id, deputy_id=deputy_id, until=to_date(day(last)),
        **{"from": to_date(day(first))},
    )  # fmt: skip


def numbers(permissions: Sequence[str]) -> list[permission_pb2.Permission.ValueType]:
    return [permission_pb2.Permission.Value(f"PERMISSION_{name}") for name in permissions]


async def told(services: RunningServices, event: type[Any]) -> list[Any]:
    """The payloads of this type that identity has told, oldest first."""
    async with services.db("identity").read() as read:
        rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
    payloads = []
    for row in rows:
        payload = event()
        if Event.FromString(row).payload.Unpack(payload):
            payloads.append(payload)
    return payloads
