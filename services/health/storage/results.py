"""What evaluations found, customer by customer and week by week."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.domain.rules import Status
from services.health.domain.weeks import Week
from services.health.storage import customers
from services.health.storage.tables import health_results, rule_sets
from services.shared.access import Scope, unscoped


def values_of(stored: Mapping[str, str | None]) -> dict[str, Decimal | None]:
    """The inputs of a result row as values by metric."""
    return {metric: None if value is None else Decimal(value) for metric, value in stored.items()}


def _results() -> Select[Any]:
    version = rule_sets.c.version.label("rule_set_version")
    return select(health_results, version).join(rule_sets, rule_sets.c.id == health_results.c.rule_set_id)


async def latest(read: AsyncConnection, scope: Scope, customer_id: UUID) -> Row[Any] | None:
    """The result of the customer's latest week, with rule_set_version."""
    rows = await page(read, scope, customer_id, None, 1)
    return rows[0] if rows else None


async def page(
    read: AsyncConnection, scope: Scope, customer_id: UUID, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` results of a customer, newest week first, after the week of Monday `after[0]`."""
    mine = scope.limit(_results().where(health_results.c.customer_id == customer_id), health_results.c.customer_id)
    if after:
        mine = mine.where(health_results.c.week < after[0])
    return (await read.execute(mine.order_by(health_results.c.week.desc()).limit(size))).all()


async def latest_week(read: AsyncConnection) -> Week | None:
    """The latest week that was evaluated, for whomever."""
    latest = unscoped(select(func.max(health_results.c.week)), "a week tells of no customer")
    monday = (await read.execute(latest)).scalar()
    return None if monday is None else Week(monday)


async def distribution(read: AsyncConnection, scope: Scope, week: Week, *, present: bool) -> dict[Status, int]:
    """Customers in scope by status in a week; with `present`, those without a result count as NOT_COMPUTED.

    On a snapshot, or what it counts first and last differs.
    """
    counted = select(health_results.c.status, func.count()).where(health_results.c.week == week.monday)
    by_status = scope.whole(counted.group_by(health_results.c.status), health_results.c.customer_id)
    counts = {Status(status): number for status, number in await read.execute(by_status)}
    if present:
        missing = await customers.count(read, scope) - sum(counts.values())
        if missing > 0:
            counts[Status.NOT_COMPUTED] = missing
    return counts
