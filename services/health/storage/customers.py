"""Customers as this service knows them: keys and seats, from the events of the customers service."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, any_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.storage.tables import customers
from services.shared.access import Scope
from services.shared.db import Write
from services.shared.db.rows import brought


async def project(write: Write, rows: Sequence[dict[str, Any]]) -> None:
    """Takes over rows (id, external_id, seats, created_at, version) that are newer than what is known."""
    kinds = {name: customers.c[name].type for name in ("id", "external_id", "seats", "created_at", "version")}
    statement: Any = upsert(customers).from_select(list(kinds), select(brought(rows, kinds)))
    new = statement.excluded
    changed = {name: new[name] for name in kinds if name != "id"}
    await write.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_=changed, where=customers.c.version < new.version)
    )


async def is_in_scope(read: AsyncConnection, scope: Scope, customer_id: UUID) -> bool:
    """Whether there is such a customer, and `scope` holds him."""
    found = scope.limit(select(customers.c.id).where(customers.c.id == customer_id), customers.c.id)
    return (await read.execute(found)).one_or_none() is not None


async def count(read: AsyncConnection, scope: Scope) -> int:
    """How many customers there are in scope."""
    counted = scope.whole(select(func.count()).select_from(customers), customers.c.id)
    return (await read.execute(counted)).scalar_one()


async def versions(connection: AsyncConnection, customer_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The version of each of these customers that is known."""
    mine = customers.c.id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid)))
    return {row.id: row.version
            for row in await connection.execute(select(customers.c.id, customers.c.version).where(mine))}  # fmt: skip


async def ids_by_key(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, UUID]:
    """The customers that are known, by those of `keys` (ids or external ids) that they were asked for with."""
    ids = [UUID(key) for key in keys if _is_id(key)]
    known = select(customers.c.id, customers.c.external_id).where(
        or_(
            customers.c.id == any_(bindparam(None, ids, ARRAY(Uuid))),
            customers.c.external_id == any_(bindparam(None, list(keys), ARRAY(Text))),
        )
    )
    found: dict[str, UUID] = {}
    for row in await connection.execute(known):
        found[row.external_id] = row.id
        found[str(row.id)] = row.id
    return found


def _is_id(key: str) -> bool:
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False
