"""What people wrote about a customer's orders: gathered as a whole, and erased as a whole."""

from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.storage.tables import orders
from services.shared.access import unscoped
from services.shared.db import Write
from services.shared.privacy import ERASED, WHY, PersonalData, Record


async def collect(connection: AsyncConnection, customer_id: UUID) -> AsyncIterator[Record]:
    query = select(orders.c.number, orders.c.void_reason).where(_written_at(customer_id)).order_by(orders.c.number)
    async for row in await connection.stream(unscoped(query, WHY)):
        yield "order", row._asdict()


async def erase(write: Write, customer_id: UUID) -> Iterable[UUID]:
    change = update(orders).where(_written_at(customer_id)).values(void_reason=ERASED)
    await write.execute(unscoped(change, WHY))
    query = select(orders.c.id).where(orders.c.customer_id == customer_id)
    return (await write.execute(unscoped(query, WHY))).scalars().all()


def _written_at(customer_id: UUID) -> ColumnElement[bool]:
    return (orders.c.customer_id == customer_id) & (orders.c.void_reason != "")


HELD = PersonalData(collect, erase)
