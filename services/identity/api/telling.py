"""What changed, told to everybody: the kit's projection in this database and an event, in the change's transaction.

Rows are locked in one order, so that no two calls wait for each other: the rows of employees, then the projection's
revision, which telling counts on. So a change writes all of its own rows first, and tells then.
"""

from collections.abc import Sequence
from uuid import UUID

from kejing.identity.v1 import events_pb2
from services.identity.api.wire import to_department_facts, to_deputy, to_employee_facts, to_role
from services.identity.domain.departments import Tree
from services.identity.storage import departments, deputies, employees, roles
from services.shared.access import projection
from services.shared.db import Write

EVENT_ITEMS = 500


async def tell_employees(write: Write, ids: Sequence[UUID]) -> None:
    rows = await employees.get_many(write.connection, ids)
    for start in range(0, len(rows), EVENT_ITEMS):
        facts = [to_employee_facts(row) for row in rows[start : start + EVENT_ITEMS]]
        await projection.put_employees(write, facts)
        write.emit(events_pb2.EmployeesChanged(employees=facts))


async def tell_departments(write: Write, ids: Sequence[UUID], tree: Tree) -> None:
    """`tree` is the one that holds now."""
    rows = await departments.get_many(write.connection, ids)
    for start in range(0, len(rows), EVENT_ITEMS):
        facts = [to_department_facts(row, tree) for row in rows[start : start + EVENT_ITEMS]]
        await projection.put_departments(write, facts)
        write.emit(events_pb2.DepartmentsChanged(departments=facts))


async def tell_roles(write: Write, keys: Sequence[str]) -> None:
    told = [to_role(row) for row in await roles.get_many(write.connection, keys)]
    await projection.put_roles(write, told)
    write.emit(events_pb2.RolesChanged(roles=told))


async def tell_deputy(write: Write, deputy_id: UUID) -> None:
    row = await deputies.get(write.connection, deputy_id)
    if row is not None:
        told = [to_deputy(row)]
        await projection.put_deputies(write, told)
        write.emit(events_pb2.DeputiesChanged(deputies=told))
