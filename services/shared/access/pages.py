"""Pages of long lists that have an order of their own, of what a scope holds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access.scope import FEW_EMPLOYEES, Scope, unscoped

WALKED_ROWS = 2000


async def page_of(
    connection: AsyncConnection,
    scope: Scope,
    query: Select[Any],
    customer_id: Column[Any],
    order: Sequence[Column[Any]],
    size: int,
    *,
    descending: bool = False,
) -> Sequence[Row[Any]]:
    """The first `size` rows of `query` in scope, in `order`; `customer_id` and `order` are columns that it selects.

    Where many employees own what is seen, most likely a page is found soon by walking the order; so it is tried on the
    first rows. Where those hold no page, because what is seen is little or lies at the far end, all of it is read by
    its customers: the time is bounded either way, which that of a walk alone is not.
    """
    ordered = query.order_by(*(column.desc() if descending else column for column in order))
    if scope.everything or len(scope.employees) <= FEW_EMPLOYEES:
        return (await connection.execute(scope.limit(ordered.limit(size), customer_id, broad=True))).all()
    ahead = ordered.limit(WALKED_ROWS).subquery("ahead")
    again = [ahead.c[column.name] for column in order]
    walk = select(ahead).where(scope.holds(ahead.c[customer_id.name])).limit(size)
    walk = walk.order_by(*(column.desc() if descending else column for column in again))
    rows = (await connection.execute(unscoped(walk, "limited by the scope beyond the walk"))).all()
    if len(rows) == size:
        return rows
    return (await connection.execute(scope.gather(ordered.limit(size), customer_id))).all()
