"""For how many customers a condition holds, and what it met at one of them, without any segment."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, cast, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.condition_columns import Day, asked_of, column_of
from services.customers.storage.tables import customers
from services.shared.access import Scope, unscoped
from services.shared.conditions.sql import to_sql
from services.shared.conditions.tree import Condition, comparisons
from services.shared.conditions.values import FieldType
from services.shared.db import Database

COUNTED = 10_000
PATIENCE_SECONDS = 1.0
"""So long is counted at most; then it is estimated."""
SAMPLE = 5_000
"""About so many customers are looked at for an estimate."""


@dataclass(frozen=True)
class Found:
    """`customers`: at most COUNTED + 1 where counted."""

    customers: int
    is_estimate: bool = False


async def count(db: Database, scope: Scope, condition: Condition, day: Day) -> Found:
    """For how many customers in scope, churned ones too, the condition holds."""
    holds = _holds(condition, day)
    counted = scope.whole(select(literal_column("1")).select_from(customers).where(holds), customers.c.id)
    query = unscoped(select(func.count()).select_from(counted.limit(COUNTED + 1).subquery()), "its rows are in scope")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), db.read() as read:
            return Found(int((await read.execute(query)).scalar_one()))
    except TimeoutError:
        pass
    async with db.read() as read:
        return await _estimate(read, scope, holds)


async def _estimate(read: AsyncConnection, scope: Scope, holds: ColumnElement[bool]) -> Found:
    estimated = "select greatest(reltuples, 1) from pg_class where oid = 'public.customers'::regclass"
    everybody = float((await read.execute(text(estimated))).scalar_one())
    share = min(1.0, SAMPLE / everybody)
    some = customers.alias("some").tablesample(func.system(cast(100 * share, Float)), name="some")
    ids = func.array(select(some.c.id).scalar_subquery())
    query: Any = select(func.count()).select_from(customers).where(customers.c.id == func.any(ids), holds)
    found = (await read.execute(scope.limit(query, customers.c.id))).scalar_one()
    return Found(round(found / share), is_estimate=True)


def _holds(condition: Condition, day: Day) -> ColumnElement[bool]:
    columns = {each.field: column_of(each.field, each.type, day) for each in comparisons(condition)}
    return to_sql(condition, columns, day.today, strict=True)


async def values(
    read: AsyncConnection, scope: Scope, customer_id: UUID, condition: Condition, day: Day
) -> dict[str, Any] | None:
    """What the condition asks of a customer, by field; None where he isn't in scope."""
    asked = asked_of([condition])
    fields = [column_of(each.field, each.type, day).label(f"field_{n}") for n, each in enumerate(asked)]
    query = scope.limit(select(*fields).where(customers.c.id == customer_id), customers.c.id)
    row = (await read.execute(query)).one_or_none()
    if row is None:
        return None
    return {
        each.field: frozenset(value) if each.type is FieldType.SET else value
        for each, value in zip(asked, row, strict=True)
    }
