"""Employees and the department tree."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.domain.departments import Department
from services.identity.storage.tables import departments, employees
from services.shared.db import Write


async def get(connection: AsyncConnection, employee_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(employees).where(employees.c.id == employee_id))).one_or_none()


async def get_many(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    return (await connection.execute(select(employees).where(employees.c.id.in_(ids)))).all()


async def by_login(connection: AsyncConnection, login: str) -> Row[Any] | None:
    return (await connection.execute(select(employees).where(employees.c.login == login))).one_or_none()


async def page(
    connection: AsyncConnection, department_id: UUID | None, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` employees in the order of their logins, after the login `after[0]`."""
    query = select(employees).order_by(employees.c.login).limit(size)
    if department_id:
        query = query.where(employees.c.department_id == department_id)
    if after:
        query = query.where(employees.c.login > after[0])
    return (await connection.execute(query)).all()


async def add(write: Write, row: dict[str, Any]) -> bool:
    """Stores a new employee; False where the login is taken."""
    statement = upsert(employees).values(row).on_conflict_do_nothing(index_elements=["login"])
    return bool((await write.execute(statement)).rowcount)


async def all_placed(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """(id, department_id, manager_id) of every employee."""
    placed: Select[Any] = select(employees.c.id, employees.c.department_id, employees.c.manager_id)
    return (await connection.execute(placed)).all()


async def set_manager(write: Write, employee_id: UUID, manager_id: UUID | None) -> None:
    mine = update(employees).where(employees.c.id == employee_id)
    await write.execute(mine.values(manager_id=manager_id, version=employees.c.version + 1))


async def lock_departments(write: Write) -> dict[UUID, Department]:
    """The whole tree, which nobody else changes until this transaction ends."""
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing departments'))"))
    rows = await write.execute(select(departments.c.id, departments.c.parent_id, departments.c.leader_id))
    return {row.id: Department(row.id, row.parent_id, row.leader_id) for row in rows}


async def get_department(connection: AsyncConnection, department_id: UUID) -> Row[Any]:
    return (await connection.execute(select(departments).where(departments.c.id == department_id))).one()


async def departments_page(connection: AsyncConnection, after: list[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` departments in the order of (name, id), after `after`."""
    query = select(departments).order_by(departments.c.name, departments.c.id).limit(size)
    if after:
        query = query.where(tuple_(departments.c.name, departments.c.id) > tuple_(*after))
    return (await connection.execute(query)).all()


async def add_department(write: Write, department_id: UUID, name: str, parent_id: UUID | None) -> bool:
    """Stores a new department; False where the parent has one of that name."""
    row = {"id": department_id, "name": name, "parent_id": parent_id, "created_at": write.now}
    return bool((await write.execute(upsert(departments).values(row).on_conflict_do_nothing())).rowcount)


async def set_leader(write: Write, department_id: UUID, employee_id: UUID) -> None:
    await write.execute(update(departments).where(departments.c.id == department_id).values(leader_id=employee_id))
