"""Versions of process definitions."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.db import Write
from services.tasks.domain.definition import Stage
from services.tasks.storage.tables import process_definitions as definitions


async def get(connection: AsyncConnection, definition_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(definitions).where(definitions.c.id == definition_id))).one_or_none()


async def published(connection: AsyncConnection, key: str) -> Row[Any] | None:
    """The version that new processes of the key run by."""
    query = select(definitions).where(definitions.c.key == key, definitions.c.state == "PUBLISHED")
    return (await connection.execute(query)).one_or_none()


async def lock_key(write: Write, key: str) -> Sequence[Row[Any]]:
    """All versions of the key, newest first; nobody adds one or changes one until the transaction ends."""
    await write.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"definition {key}"))))
    query = select(definitions).where(definitions.c.key == key).order_by(definitions.c.version.desc())
    return (await write.execute(query)).all()


async def add(write: Write, row: dict[str, Any], stages: Sequence[Stage]) -> None:
    await write.execute(insert(definitions).values({**row, "stages": [asdict(stage) for stage in stages]}))


async def change(
    write: Write, definition_id: UUID, values: dict[str, Any], stages: Sequence[Stage] | None = None
) -> None:
    if stages is not None:
        values = {**values, "stages": [asdict(stage) for stage in stages]}
    await write.execute(update(definitions).where(definitions.c.id == definition_id).values(values))


async def page(
    connection: AsyncConnection, key: str, states: Sequence[str], after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` versions by key, newest first within a key, after (key, version) of `after`."""
    query = select(definitions).order_by(definitions.c.key, definitions.c.version.desc()).limit(size)
    if key:
        query = query.where(definitions.c.key == key)
    if states:
        query = query.where(definitions.c.state.in_(states))
    if after:
        older = and_(definitions.c.key == after[0], definitions.c.version < after[1])
        query = query.where(or_(definitions.c.key > after[0], older))
    return (await connection.execute(query)).all()
