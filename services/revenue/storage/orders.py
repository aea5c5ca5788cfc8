"""Orders: reading and writing them."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, any_, bindparam, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.domain.order import OrderTerms, Status
from services.revenue.storage.tables import order_terms, orders
from services.shared.db import Write

_TAKEN_OVER = (
    "customer_id", "product", "currency", "amount", "monthly_price", "signed_date", "term_start", "term_end",
    "counts_to_mrr", "renews_order_id", "status",
)  # fmt: skip
"""What an import brings to the row's values."""


async def get(read: AsyncConnection, order_id: UUID) -> Row[Any] | None:
    """The order with its `last_day`."""
    return (await read.execute(select(order_terms).where(order_terms.c.id == order_id))).one_or_none()


async def locked(write: Write, order_id: UUID) -> Row[Any] | None:
    """The order, held against other writers until the transaction ends."""
    statement = select(orders).where(orders.c.id == order_id).with_for_update()
    return (await write.execute(statement)).one_or_none()


async def by_number(read: AsyncConnection, numbers: Sequence[str]) -> dict[str, Row[Any]]:
    """Those of the numbers that are known, by number."""
    rows = await read.execute(
        select(orders).where(orders.c.number == any_(bindparam(None, list(numbers), ARRAY(Text))))
    )
    return {row.number: row for row in rows}


async def page(
    read: AsyncConnection,
    *,
    limit: int,
    after: tuple[date, UUID] | None,
    customer_id: UUID | None,
    active_on: date | None,
    ends_from: date | None,
    ends_to: date | None,
    status: str,
) -> Sequence[Row[Any]]:
    """Up to `limit` orders after the one with the sort values `after` (term_start, id), the latest start first."""
    of = order_terms.c
    statement = select(order_terms).order_by(of.term_start.desc(), of.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(of.term_start, of.id) < after)
    if customer_id is not None:
        statement = statement.where(of.customer_id == customer_id)
    if active_on is not None:
        statement = statement.where(of.term_start <= active_on, (of.term_end >= active_on) | of.term_end.is_(None))
    if ends_from is not None:
        statement = statement.where(of.term_end >= ends_from)
    if ends_to is not None:
        statement = statement.where(of.term_end <= ends_to)
    if status:
        statement = statement.where(of.status == status)
    return (await read.execute(statement)).all()


def to_row(
    order_id: UUID, customer_id: UUID, terms: OrderTerms, renews_order_id: UUID | None, now: object
) -> dict[str, Any]:
    """The values of a new order."""
    return {
        "id": order_id, "number": terms.number, "customer_id": customer_id, "product": terms.product,
        "currency": terms.currency, "amount": terms.amount, "monthly_price": terms.monthly_price,
        "signed_date": terms.signed_date, "term_start": terms.term_start, "term_end": terms.term_end,
        "counts_to_mrr": terms.counts_to_mrr, "renews_order_id": renews_order_id, "status": terms.status.value,
        "void_reason": "", "version": 1, "created_at": now, "updated_at": now,
    }  # fmt: skip


async def add(write: Write, row: dict[str, Any]) -> bool:
    """Enters an order; False where its number is taken."""
    statement = upsert(orders).values(row).on_conflict_do_nothing(index_elements=["number"])
    return bool((await write.execute(statement)).rowcount)


async def set_status(write: Write, order_id: UUID, status: Status, void_reason: str = "") -> None:
    values = {
        "status": status.value,
        "void_reason": void_reason,
        "version": orders.c.version + 1,
        "updated_at": write.now,
    }
    await write.execute(update(orders).where(orders.c.id == order_id).values(values))


async def take_over(write: Write, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Enters new orders and brings known ones (by number) to the rows' values, in one statement.

    Answers how many were new and how many had other values before; a known order keeps its id.
    """
    statement = upsert(orders).values(list(rows))
    new = statement.excluded
    taken = {name: new[name] for name in _TAKEN_OVER}
    differs = tuple_(*(orders.c[name] for name in _TAKEN_OVER)).is_distinct_from(tuple_(*taken.values()))
    statement = statement.on_conflict_do_update(
        index_elements=["number"],
        set_={**taken, "version": orders.c.version + 1, "updated_at": new.updated_at},
        where=differs,
    )
    # xmax is 0 in a row version that was inserted and not updated
    created = (await write.execute(statement.returning(literal_column("(orders.xmax = 0)")))).scalars().all()
    return sum(created), len(created) - sum(created)
