"""Employees, departments, roles and deputies on the wire."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import employee_pb2, events_pb2
from services.identity.domain.departments import Tree, path_of
from services.shared.errors import NotFound
from services.shared.rpc.wire import to_date


def to_employee(row: Row[Any]) -> employee_pb2.Employee:
    employee = employee_pb2.Employee(
        id=str(row.id),
        login=row.login,
        display_name=row.display_name,
        department_id=str(row.department_id),
        role_key=row.role,
        active=row.active,
        manager_id=_text(row.manager_id),
        version=row.version,
        successor_id=_text(row.successor_id),
    )
    employee.created_at.FromDatetime(row.created_at)
    return employee


def to_employee_facts(row: Row[Any]) -> events_pb2.EmployeeFacts:
    return events_pb2.EmployeeFacts(
        id=str(row.id),
        login=row.login,
        display_name=row.display_name,
        department_id=str(row.department_id),
        manager_id=_text(row.manager_id),
        active=row.active,
        version=row.version,
        role_key=row.role,
        successor_id=_text(row.successor_id),
    )


def to_department(row: Row[Any]) -> employee_pb2.Department:
    return employee_pb2.Department(
        id=str(row.id),
        name=row.name,
        parent_id=_text(row.parent_id),
        leader_id=_text(row.leader_id),
        version=row.version,
    )


def to_department_facts(row: Row[Any], tree: Tree) -> events_pb2.DepartmentFacts:
    """`tree` need not hold a department that was deleted; its path is then its own id alone."""
    path = path_of(row.id, tree) or (row.id,)
    return events_pb2.DepartmentFacts(id=str(row.id), path=map(str, path), version=row.version, deleted=row.deleted)


def to_role(row: Row[Any]) -> employee_pb2.Role:
    return employee_pb2.Role(
        key=row.key,
        name=row.name,
        permissions=row.permissions,
        scope=permission_pb2.Scope.Value(f"SCOPE_{row.scope}"),
        version=row.version,
        deleted=row.deleted,
    )


def to_deputy(row: Row[Any]) -> employee_pb2.Deputy:
    return employee_pb2.Deputy(
        id=str(row.id),
        absent_id=str(row.absent_id),
        deputy_id=str(row.deputy_id),
        until=to_date(row.valid_to),
        version=row.version,
        deleted=row.deleted,
        **{"from": to_date(row.valid_from)},
    )


def scope_word(scope: permission_pb2.Scope.ValueType) -> str:
    """The word that a scope is stored by, e.g. "OWN"."""
    return permission_pb2.Scope.Name(scope).removeprefix("SCOPE_")


def found(row: Row[Any] | None, noun: str, key: object) -> Row[Any]:
    """`row`. Raises NotFound where there is none."""
    if row is None:
        raise NotFound(noun, key)
    return row


def _text(value: UUID | None) -> str:
    return str(value) if value else ""
