"""Employees on the wire: answers and events."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.identity.v1 import employee_pb2, events_pb2
from services.identity.domain.departments import Department, manager_of
from services.identity.storage import employees
from services.shared.db import Write

EVENT_ITEMS = 500


def to_employee(row: Row[Any]) -> employee_pb2.Employee:
    employee = employee_pb2.Employee(
        id=str(row.id),
        login=row.login,
        display_name=row.display_name,
        department_id=str(row.department_id),
        role=employee_pb2.Role.Value(f"ROLE_{row.role}"),
        active=row.active,
        manager_id=_text(row.manager_id),
        version=row.version,
    )
    employee.created_at.FromDatetime(row.created_at)
    return employee


def to_department(row: Row[Any]) -> employee_pb2.Department:
    return employee_pb2.Department(
        id=str(row.id), name=row.name, parent_id=_text(row.parent_id), leader_id=_text(row.leader_id)
    )


def to_facts(row: Row[Any]) -> events_pb2.EmployeeFacts:
    return events_pb2.EmployeeFacts(
        id=str(row.id),
        login=row.login,
        display_name=row.display_name,
        department_id=str(row.department_id),
        manager_id=_text(row.manager_id),
        active=row.active,
        version=row.version,
        role=employee_pb2.Role.Value(f"ROLE_{row.role}"),
    )


async def emit_changed(write: Write, ids: Sequence[UUID]) -> None:
    """Tells the present facts of the employees `ids`."""
    rows = await employees.get_many(write.connection, ids)
    for start in range(0, len(rows), EVENT_ITEMS):
        write.emit(events_pb2.EmployeesChanged(employees=map(to_facts, rows[start : start + EVENT_ITEMS])))


async def settle_managers(write: Write, tree: dict[UUID, Department]) -> list[UUID]:
    """Gives everybody the manager that the tree says; answers whose manager became another one."""
    moved = []
    for row in await employees.all_placed(write.connection):
        manager_id = manager_of(row.id, row.department_id, tree)
        if manager_id != row.manager_id:
            await employees.set_manager(write, row.id, manager_id)
            moved.append(row.id)
    return moved


def _text(value: UUID | None) -> str:
    return str(value) if value else ""
