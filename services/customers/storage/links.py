"""Which customer is known to which sources, and as what."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.import_tables import customer_links, sources
from services.customers.storage.tables import customers
from services.shared.access import Scope, unscoped
from services.shared.db import Write

COUNTED = 10_000
LOCKED = "the customer was locked in scope"


async def holder(write: Write, source: str, external_id: str) -> UUID | None:
    """The customer that a source knows by this id."""
    created = select(customers.c.id).where(customers.c.external_id == external_id, customers.c.source == source)
    linked = select(customer_links.c.customer_id).where(
        customer_links.c.source == source, customer_links.c.external_id == external_id
    )
    return (await write.execute(unscoped(created.union_all(linked), "a key is one customer's, whoever asks"))).scalar()


async def put(write: Write, source: str, external_id: str, customer_id: UUID) -> None:
    values = {"source": source, "external_id": external_id, "customer_id": customer_id, "linked_at": write.now}
    await write.execute(unscoped(upsert(customer_links).values(values).on_conflict_do_nothing(), LOCKED))


async def take(write: Write, source: str, external_id: str, customer_id: UUID) -> bool:
    """Takes a link back; whether there was one."""
    mine = delete(customer_links).where(
        customer_links.c.source == source,
        customer_links.c.external_id == external_id,
        customer_links.c.customer_id == customer_id,
    )
    return bool((await write.execute(unscoped(mine, LOCKED))).rowcount)


async def sources_with_counts(connection: AsyncConnection, scope: Scope) -> Sequence[Row[Any]]:
    """All sources by name, with the number of `customers` in scope that each holds, counted up to 10,000."""
    rows = (await connection.execute(select(sources).order_by(sources.c.name))).all()
    counted = []
    for row in rows:
        created: Any = scope.limit(
            select(customers.c.id).where(customers.c.source == row.name).limit(COUNTED), customers.c.id, broad=True
        )
        linked: Any = scope.limit(
            select(customer_links.c.customer_id).where(customer_links.c.source == row.name).limit(COUNTED),
            customer_links.c.customer_id,
            broad=True,
        )
        both = select(func.count()).select_from(created.union(linked).limit(COUNTED).subquery())
        counted.append((await connection.execute(unscoped(both, "both parts are limited to the scope"))).scalar_one())
    return [_Counted(row, number) for row, number in zip(rows, counted, strict=True)]  # type: ignore[misc]


class _Counted:
    def __init__(self, row: Row[Any], customers_counted: int) -> None:
        self.name, self.ours, self.contacts_ours = row.name, row.ours, row.contacts_ours
        self.imported_at, self.customers = row.imported_at, customers_counted
