"""A small company, as events of identity tell of it."""

from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from kejing.common.v1 import permission_pb2
from kejing.common.v1.permission_pb2 import PERMISSION_TASKS_READ, SCOPE_ALL, SCOPE_OWN
from kejing.identity.v1 import directory_service_pb2, employee_pb2, events_pb2
from services.shared.access import projection
from services.shared.db import Database
from services.shared.errors import Refusal
from services.shared.ids import new_id
from services.shared.rpc.caller import Caller

root, sales, north, south = (new_id() for _ in range(4))
ann, bob, eve, dan = (new_id() for _ in range(4))


def employee(id_: UUID, department: UUID, role: str, *, active: bool = True, version: int = 1) -> Any:
    return events_pb2.EmployeeFacts(
        id=str(id_), login=id_.hex, display_name="", department_id=str(department), role_key=role, active=active,
        version=version,
    )  # fmt: skip


def department(*path: UUID, version: int = 1) -> events_pb2.DepartmentFacts:
    return events_pb2.DepartmentFacts(id=str(path[-1]), path=map(str, path), version=version)


def role(key: str, scope: Any, *, version: int = 1, deleted: bool = False, permissions: Any = None) -> Any:
    allowed = [PERMISSION_TASKS_READ] if permissions is None else permissions
    return employee_pb2.Role(key=key, permissions=allowed, scope=scope, version=version, deleted=deleted)


def deputy(id_: UUID, absent: UUID, stands_in: UUID, first: int, last: int, *, version: int = 1, **more: Any) -> Any:
    told = employee_pb2.Deputy(
        id=str(id_), absent_id=str(absent), deputy_id=str(stands_in), until=Date(year=2026, month=3, day=last),
        version=version, **more,
    )  # fmt: skip
    getattr(told, "from").CopyFrom(Date(year=2026, month=3, day=first))
    return told


def everything() -> directory_service_pb2.GetDirectoryResponse:
    """A company: root > sales > north, south; Ann sells in the north, Bob leads sales, Eve sees all."""
    return directory_service_pb2.GetDirectoryResponse(
        roles=[role("SELLER", SCOPE_OWN), role("LEADER", permission_pb2.SCOPE_DEPARTMENT), role("ADMIN", SCOPE_ALL)],
        departments=[department(root), department(root, sales), department(root, sales, north),
                     department(root, sales, south)],
        employees=[employee(ann, north, "SELLER"), employee(bob, sales, "LEADER"), employee(eve, root, "ADMIN")],
    )  # fmt: skip


async def tell(db: Database, *facts: Message) -> None:
    """As if events of identity had told it."""
    put: dict[type[Message], Any] = {
        employee_pb2.Role: projection.put_roles,
        employee_pb2.Deputy: projection.put_deputies,
        events_pb2.DepartmentFacts: projection.put_departments,
        events_pb2.EmployeeFacts: projection.put_employees,
        events_pb2.RevokedSession: projection.put_revoked_sessions,
    }
    async with db.transaction(actor="machine:test") as write:
        for fact in facts:
            await put[type(fact)](write, [fact])


async def tell_all(db: Database) -> None:
    company = everything()
    await tell(db, *company.roles, *company.departments, *company.employees)


def as_caller(id_: UUID, session: str = "s") -> Caller:
    return Caller(subject=str(id_), session=session, expires_at=9e9)


async def reason(answer: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await answer
    return refusal.value.reason
