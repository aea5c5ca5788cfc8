"""Roles."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.storage.tables import roles
from services.shared.db import Write


async def get(connection: AsyncConnection, key: str) -> Row[Any] | None:
    """The role; None where there is none of that key, or no longer."""
    mine = select(roles).where(roles.c.key == key, ~roles.c.deleted)
    return (await connection.execute(mine)).one_or_none()


async def get_many(connection: AsyncConnection, keys: Sequence[str]) -> Sequence[Row[Any]]:
    """In the order of their keys, with what was deleted."""
    return (await connection.execute(select(roles).where(roles.c.key.in_(keys)).order_by(roles.c.key))).all()


async def get_all(connection: AsyncConnection, *, deleted: bool = False) -> Sequence[Row[Any]]:
    """In the order of their keys; `deleted`: also what was deleted."""
    query = select(roles).order_by(roles.c.key)
    return (await connection.execute(query if deleted else query.where(~roles.c.deleted))).all()


async def count(write: Write) -> int:
    present = select(func.count()).select_from(roles).where(~roles.c.deleted)
    return int((await write.execute(present)).scalar_one())


async def add(write: Write, key: str, name: str, permissions: Sequence[int], scope: str) -> bool:
    """Stores a new role, or one of a key that was deleted; False where the key is taken."""
    row = {"key": key, "name": name, "permissions": list(permissions), "scope": scope, "deleted": False, "version": 1,
           "created_at": write.now}  # fmt: skip
    statement = upsert(roles).values(row)
    again = {name: value for name, value in row.items() if name not in ("key", "version")}
    statement = statement.on_conflict_do_update(
        index_elements=["key"], set_={**again, "version": roles.c.version + 1}, where=roles.c.deleted
    )
    return bool((await write.execute(statement)).rowcount)


async def change(write: Write, key: str, values: dict[str, Any]) -> None:
    """Sets `values` and counts the version on."""
    mine = update(roles).where(roles.c.key == key)
    await write.execute(mine.values(**values, version=roles.c.version + 1))
