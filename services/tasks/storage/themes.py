"""Themes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.db import Write
from services.tasks.storage.tables import themes


async def get(connection: AsyncConnection, key: str) -> Row[Any] | None:
    return (await connection.execute(select(themes).where(themes.c.key == key))).one_or_none()


async def all_by_key(connection: AsyncConnection) -> Sequence[Row[Any]]:
    return (await connection.execute(select(themes).order_by(themes.c.key))).all()


async def add(write: Write, row: dict[str, Any]) -> bool:
    """Stores a new theme; False where the key is taken."""
    return bool((await write.execute(upsert(themes).values(row).on_conflict_do_nothing())).rowcount)


async def change(write: Write, key: str, values: dict[str, Any]) -> bool:
    """Stores the theme's new values; False where there is no such theme."""
    return bool((await write.execute(update(themes).where(themes.c.key == key).values(values))).rowcount)
