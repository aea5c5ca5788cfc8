"""Orders: reading and writing them."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, any_, bindparam, func, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.domain.order import OrderTerms, Status
from services.revenue.storage.tables import order_terms, orders
from services.shared.access import Scope, unscoped
from services.shared.access.pages import page_of
from services.shared.db import Write

_TAKEN_OVER = (
    "customer_id", "product", "currency", "amount", "monthly_price", "signed_date", "term_start", "term_end",
    "counts_to_mrr", "renews_order_id", "status",
)  # fmt: skip
"""What an import brings to the row's values."""


async def get(read: AsyncConnection, scope: Scope, order_id: UUID) -> Row[Any] | None:
    """The order with its `last_day`."""
    statement = select(order_terms).where(order_terms.c.id == order_id)
    return (await read.execute(scope.limit(statement, order_terms.c.customer_id))).one_or_none()


async def locked(write: Write, scope: Scope, order_id: UUID) -> Row[Any] | None:
    """The order, held against other writers until the transaction ends."""
    statement = select(orders).where(orders.c.id == order_id).with_for_update(of=orders)
    return (await write.execute(scope.limit(statement, orders.c.customer_id))).one_or_none()


async def by_number(read: AsyncConnection, scope: Scope, numbers: Sequence[str]) -> dict[str, Row[Any]]:
    """Those of the numbers that are known and in scope, by number."""
    statement = select(orders).where(orders.c.number == any_(bindparam(None, list(numbers), ARRAY(Text))))
    rows = await read.execute(scope.limit(statement, orders.c.customer_id))
    return {row.number: row for row in rows}


async def page(
    read: AsyncConnection,
    scope: Scope,
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
    order = (of.term_start, of.id)
    statement = select(order_terms)
    if after is not None:
        statement = statement.where(tuple_(*order) < after)
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
    if customer_id is None:
        return await page_of(read, scope, statement, of.customer_id, order, limit, descending=True)
    statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
    return (await read.execute(scope.limit(statement, of.customer_id))).all()


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


async def add(write: Write, row: dict[str, Any]) -> Row[Any] | None:
    """Enters an order of a customer in scope; None where its number is taken."""
    statement = upsert(orders).values(row).on_conflict_do_nothing(index_elements=["number"]).returning(orders)
    statement = unscoped(statement, "its customer was found in scope")
    return (await write.execute(statement)).one_or_none()


async def set_status(write: Write, order_id: UUID, status: Status, void_reason: str = "") -> Row[Any]:
    """Of an order that is locked."""
    values = {
        "status": status.value,
        "void_reason": void_reason,
        "version": orders.c.version + 1,
        "updated_at": write.now,
    }
    statement = update(orders).where(orders.c.id == order_id).values(values).returning(orders)
    return (await write.execute(unscoped(statement, "the row was locked in scope"))).one()


async def take_over(write: Write, rows: Sequence[dict[str, Any]]) -> Sequence[Row[Any]]:
    """Enters new orders and brings known ones (by number) to the rows' values, in one statement.

    Answers the orders that are new or had other values before, with `is_new`; a known order keeps its id.
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
    inserted: ColumnElement[bool] = literal_column("(orders.xmax = 0)").label("is_new")
    returning = unscoped(statement, "an import is whole").returning(orders, inserted)
    return (await write.execute(returning)).all()


async def signed_amount(read: AsyncConnection, scope: Scope, year: int, customer_id: UUID | None) -> Sequence[Row[Any]]:
    """Rows (currency, amount), by currency, of effective orders that were signed in `year`: their amounts, and monthly
    prices for the months of the year in which they count."""
    of, first, last = order_terms.c, date(year, 1, 1), date(year, 12, 31)
    begin = func.greatest(of.term_start, first)
    after = func.least(of.last_day, last) + 1
    counted = func.greatest(_month_number(after) - _month_number(begin), 0)
    worth = func.sum(func.coalesce(of.amount, of.monthly_price * counted))
    statement = select(of.currency, worth.label("amount")).where(
        of.status == Status.EFFECTIVE.value, of.signed_date.between(first, last)
    )
    statement = statement.group_by(of.currency).having(worth > 0).order_by(of.currency)
    if customer_id is not None:
        statement = scope.limit(statement.where(of.customer_id == customer_id), of.customer_id)
    else:
        statement = scope.whole(statement, of.customer_id)
    return (await read.execute(statement)).all()


def _month_number(day: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.extract("year", day) * 12 + func.extract("month", day)
