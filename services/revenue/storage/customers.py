"""Customers as this service knows them: ids and keys, from the events of the customers service."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.storage.tables import customers
from services.shared.access import Scope
from services.shared.access.tables import customers as known
from services.shared.db import Write
from services.shared.db.rows import brought


async def project(write: Write, rows: Sequence[dict[str, Any]]) -> None:
    """Takes over rows (id, external_id, number, version) that are newer than what is known."""
    kinds = {name: customers.c[name].type for name in ("id", "external_id", "number", "version")}
    statement: Any = upsert(customers).from_select(list(kinds), select(brought(rows, kinds)))
    new = statement.excluded
    await write.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"external_id": new.external_id, "number": new.number, "version": new.version},
            where=customers.c.version < new.version,
        )
    )


async def is_in_scope(read: AsyncConnection, scope: Scope, customer_id: UUID) -> bool:
    """Whether the customer is known, and one that the caller may see."""
    statement = select(known.c.id).where(known.c.id == customer_id)
    return (await read.execute(scope.limit(statement, known.c.id))).one_or_none() is not None


async def ids_by_external_id(read: AsyncConnection, scope: Scope, external_ids: Sequence[str]) -> dict[str, UUID]:
    """Those of the keys that are known and in scope."""
    wanted = any_(bindparam(None, list(external_ids), ARRAY(Text)))
    statement = select(customers.c.external_id, customers.c.id).where(customers.c.external_id == wanted)
    rows = await read.execute(scope.limit(statement, customers.c.id))
    return {row.external_id: row.id for row in rows}
