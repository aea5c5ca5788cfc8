"""The department tree."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, bindparam, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.identity.domain.departments import Department
from services.identity.storage.tables import departments
from services.shared.db import Write


async def lock_people(write: Write) -> dict[UUID, Department]:
    """The tree. Until this transaction ends nobody else changes departments, employees, roles or deputies.

    They change seldom, and nearly every rule about them looks at several of them at once.
    """
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing people'))"))
    return await get_tree(write.connection)


async def get_tree(connection: AsyncConnection) -> dict[UUID, Department]:
    """Without what was deleted."""
    columns = (departments.c.id, departments.c.parent_id, departments.c.leader_id)
    rows = await connection.execute(select(*columns).where(~departments.c.deleted))
    return {row.id: Department(row.id, row.parent_id, row.leader_id) for row in rows}


async def get(connection: AsyncConnection, department_id: UUID) -> Row[Any]:
    return (await connection.execute(select(departments).where(departments.c.id == department_id))).one()


async def get_many(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """In the order of their ids."""
    mine = departments.c.id == any_(bindparam(None, list(ids), ARRAY(Uuid)))
    return (await connection.execute(select(departments).where(mine).order_by(departments.c.id))).all()


async def get_all(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """With what was deleted."""
    return (await connection.execute(select(departments).order_by(departments.c.id))).all()


async def page(connection: AsyncConnection, after: list[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` departments in the order of (name, id), after `after`."""
    query = select(departments).where(~departments.c.deleted)
    if after:
        query = query.where(tuple_(departments.c.name, departments.c.id) > tuple_(*after))
    return (await connection.execute(query.order_by(departments.c.name, departments.c.id).limit(size))).all()


async def add(write: Write, department_id: UUID, name: str, parent_id: UUID | None) -> None:
    row = {"id": department_id, "name": name, "parent_id": parent_id, "version": 1, "deleted": False,
           "created_at": write.now}  # fmt: skip
    await write.execute(upsert(departments).values(row))


async def name_taken(write: Write, name: str, parent_id: UUID | None, besides: UUID | None = None) -> bool:
    """Whether the parent has a department of that name already, another one than `besides`."""
    same = select(departments.c.id).where(
        ~departments.c.deleted,
        departments.c.name == name,
        departments.c.parent_id.is_not_distinct_from(parent_id),
        departments.c.id.is_distinct_from(besides),
    )
    return (await write.execute(same.limit(1))).first() is not None


async def change(write: Write, ids: Sequence[UUID], values: dict[str, Any]) -> None:
    """Sets `values` and counts the versions on."""
    mine = update(departments).where(departments.c.id == any_(bindparam("changed", list(ids), ARRAY(Uuid))))
    await write.execute(mine.values(**values, version=departments.c.version + 1))
