"""Groups: lists of customers that people keep. Who is in one carries its label."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, bindparam, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import groups, segments
from services.shared.db import Write

MOST_GROUPS = 1_000


async def page(connection: AsyncConnection, after: Sequence[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` groups by name."""
    query = select(groups).order_by(groups.c.name).limit(size)
    return (await connection.execute(query.where(groups.c.name > after[0]) if after else query)).all()


async def get(connection: AsyncConnection, group_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(groups).where(groups.c.id == group_id))).one_or_none()


async def lock(write: Write, group_id: UUID, *, shared: bool = False) -> Row[Any] | None:
    """The group, which stays until the transaction ends; `shared`: others may hold it so, too."""
    query = select(groups).where(groups.c.id == group_id).with_for_update(read=shared)
    return (await write.execute(query)).one_or_none()


async def is_full(write: Write) -> bool:
    """Whether there are as many groups as there may be. The caller holds the lock of one_at_a_time."""
    return bool((await write.execute(select(func.count()).select_from(groups))).scalar_one() >= MOST_GROUPS)


async def create(write: Write, name: str, description: str) -> bool:
    """Whether there was none of this name. Its id is write.result_id."""
    new = upsert(groups).values(id=write.result_id, name=name, description=description, created_by=write.actor,
                                created_at=write.now, version=1)  # fmt: skip
    return bool((await write.execute(new.on_conflict_do_nothing(index_elements=["name"]))).rowcount)


async def change(write: Write, group_id: UUID, name: str, description: str) -> bool:
    """Whether no other group has this name."""
    taken = select(groups.c.id).where(groups.c.name == name, groups.c.id != group_id)
    if (await write.execute(taken)).first() is not None:
        return False
    changed = update(groups).where(groups.c.id == group_id)
    await write.execute(changed.values(name=name, description=description, version=groups.c.version + 1))
    return True


async def segment_that_asks(connection: AsyncConnection, group_id: UUID) -> str:
    """The name of a segment whose condition asks for the group; "" where none does."""
    named = func.jsonb_build_object(literal_column("'id'"), bindparam(None, str(group_id), Text))
    path: ColumnElement[Any] = literal_column("'$.** ? (@ == $id)'::jsonpath")
    asks = func.jsonb_path_exists(segments.c.condition, path, named)
    query = select(segments.c.name).where(asks).order_by(segments.c.name).limit(1)
    return (await connection.execute(query)).scalar() or ""


async def remove(write: Write, group_id: UUID) -> bool:
    """Whether there was such a group."""
    return bool((await write.execute(delete(groups).where(groups.c.id == group_id))).rowcount)
