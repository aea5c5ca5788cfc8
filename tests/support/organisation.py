"""An organisation and customers of whom every service knows something, to try who sees what.

The customers and what is known of them stay; who owns them, who works where and what his role shows are set anew by
`arrange`, through the same rpcs that people use.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from kejing.common.v1 import condition_pb2, permission_pb2
from kejing.identity.v1 import (
    departments_service_pb2,
    departments_service_pb2_grpc,
    employees_service_pb2,
    employees_service_pb2_grpc,
)
from services.shared.access import unscoped
from services.shared.access.tables import customer_access
from services.shared.access.tables import departments as kit_departments
from services.shared.access.tables import employees as kit_employees
from services.shared.ids import new_id
from tests.support.customers import bring
from tests.support.eventually import eventually
from tests.support.scope_plans import Ownership, Plan
from tests.support.services import RunningServices

SCOPED_SERVICES = ("customers", "tasks", "health", "revenue", "notifications")
READS = (
    permission_pb2.PERMISSION_CUSTOMERS_READ,
    permission_pb2.PERMISSION_TASKS_READ,
    permission_pb2.PERMISSION_HEALTH_READ,
    permission_pb2.PERMISSION_REVENUE_READ,
)
OWNER_ROLES = ("CSM", "ANALYST", "SALES_MANAGER")


@dataclass
class Organisation:
    services: RunningServices
    departments: list[str] = field(default_factory=list)
    employees: list[Any] = field(default_factory=list)
    external_ids: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    follow_ups: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    role_keys: dict[str, str] = field(default_factory=dict)
    tag: str = ""
    group_id: str = ""
    segment_id: str = ""
    attribute: str = ""
    """All of its customers hold a value of it that doesn't fit."""
    everybody: condition_pb2.Condition = field(default_factory=condition_pb2.Condition)
    """Holds for all of its customers, and for no others."""
    _parents: list[int] = field(default_factory=list)
    company: str = ""

    async def stub(self, stub_class: Any, employee: int | None = None) -> Any:
        """A stub of an employee; of the administrator where none is named."""
        caller = "employee:admin" if employee is None else f"employee:{self.employees[employee].login}"
        return await self.services.stub(stub_class, caller)

    async def arrange(self, plan: Plan) -> None:
        """Makes the organisation what `plan` says; returns when every service knows."""
        tree = await self.stub(departments_service_pb2_grpc.DepartmentsServiceStub)
        people = await self.stub(employees_service_pb2_grpc.EmployeesServiceStub)
        for each in self.departments:  # all side by side first: no order of moves can make a cycle then
            await self._move(tree, each, self.company)
        for each, parent in zip(self.departments, plan.parents, strict=True):
            if parent >= 0:
                await self._move(tree, each, self.departments[parent])
        for employee, place, scope in zip(self.employees, plan.places, plan.scopes, strict=True):
            await people.UpdateEmployee(
                employees_service_pb2.UpdateEmployeeRequest(
                    request_id=str(new_id()),
                    employee_id=employee.id,
                    department_id=self.departments[place],
                    role_key=self.role_keys[scope],
                )
            )
        await self.own(plan.owners)

    def in_background(self, plan: Plan) -> "asyncio.Task[None]":
        return asyncio.create_task(self.arrange(plan))

    async def own(self, owners: Mapping[tuple[int, str], Ownership]) -> None:
        """Sets owners; those that aren't named stay. Returns when every service knows."""
        rows = [
            {
                "customer_external_id": self.external_ids[customer],
                "role": role,
                "login": self.employees[owner.employee].login,
                "valid_from": owner.first.isoformat() if owner.first > date.min else "",
                "valid_to": owner.last.isoformat() if owner.last < date.max else "",
            }
            for (customer, role), owner in owners.items()
        ]
        if rows:
            result = await bring(self.services, "ImportOwners", rows)
            assert not result.rejected, result.rejected_rows
        await self.settled()

    async def settled(self) -> None:
        """Waits until every service's projections say what identity and customers say."""
        people, owners = await self._known("identity"), await self._owners("customers")

        async def same() -> bool:
            for name in SCOPED_SERVICES:
                assert await self._known(name) == people, name
                assert await self._owners(name) == owners, name
                await self.services.directory(name).look()
            await self.services.directory("identity").look()
            return True

        await eventually(same)

    async def _known(self, name: str) -> list[Any]:
        """The versions of the organisation's people and departments that a service knows."""
        mine = [UUID(employee.id) for employee in self.employees], [UUID(each) for each in self.departments]
        async with self.services.db(name).read() as read:
            return [
                (
                    await read.execute(
                        select(table.c.id, table.c.version).where(table.c.id == func.any(ids)).order_by(table.c.id)
                    )
                ).all()
                for table, ids in zip((kit_employees, kit_departments), mine, strict=True)
            ]

    async def _owners(self, name: str) -> Any:
        mine = [UUID(customer) for customer in self.customers]
        query = select(customer_access).where(customer_access.c.customer_id == func.any(mine))
        query = query.order_by(customer_access.c.customer_id, customer_access.c.role)
        async with self.services.db(name).read() as read:
            return (await read.execute(unscoped(query, "compared by a test"))).all()

    async def _move(self, tree: Any, department_id: str, parent_id: str) -> None:
        await tree.MoveDepartment(
            departments_service_pb2.MoveDepartmentRequest(
                request_id=str(new_id()), department_id=department_id, parent_id=parent_id
            )
        )
