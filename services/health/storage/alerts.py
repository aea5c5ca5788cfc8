"""Subscriptions to changes, and the alerts that they raised."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, any_, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.domain.alerts import Transition
from services.health.domain.rules import Moved, Status
from services.health.storage.tables import alert_subscriptions, alerts, health_results, health_transitions
from services.shared.access import Scope, unscoped
from services.shared.access.pages import page_of
from services.shared.db import Write
from services.shared.ids import new_id


def transition_of(row: Row[Any]) -> Transition:
    """The change that a subscription row is about."""
    return Transition(
        row.any_fall,
        Status(row.from_status) if row.from_status else None,
        Status(row.to_status) if row.to_status else None,
    )


async def subscribe(write: Write, subscription_id: UUID, transition: Transition) -> None:
    row = {"id": subscription_id, "any_fall": transition.any_fall, "from_status": transition.before,
           "to_status": transition.after, "created_by": write.actor, "created_at": write.now}  # fmt: skip
    await write.execute(insert(alert_subscriptions).values(row))


async def get_subscription(connection: AsyncConnection, subscription_id: UUID) -> Row[Any] | None:
    mine = select(alert_subscriptions).where(alert_subscriptions.c.id == subscription_id)
    return (await connection.execute(mine)).one_or_none()


async def unsubscribe(write: Write, subscription_id: UUID) -> bool:
    """Whether there was such a subscription."""
    mine = delete(alert_subscriptions).where(alert_subscriptions.c.id == subscription_id)
    return bool((await write.execute(mine)).rowcount)


async def subscriptions_page(
    connection: AsyncConnection, after: list[Any] | None, size: int | None
) -> Sequence[Row[Any]]:
    """Up to `size` (None: all) subscriptions, oldest first, after the id `after[0]`."""
    query = select(alert_subscriptions).order_by(alert_subscriptions.c.id).limit(size)
    if after:
        query = query.where(alert_subscriptions.c.id > after[0])
    return (await connection.execute(query)).all()


async def transitions_page(write: Write, run: Row[Any], row: Row[Any], after: UUID, size: int) -> Sequence[Row[Any]]:
    """Transitions of a run's range after the customer `after`: with the inputs now and in the week before."""
    earlier = health_results.alias("earlier")
    before = (
        select(earlier.c.inputs)
        .where(earlier.c.customer_id == health_transitions.c.customer_id)
        .where(earlier.c.week < health_transitions.c.week)
        .order_by(earlier.c.week.desc())
        .limit(1)
        .scalar_subquery()
    )
    now = and_(
        health_results.c.customer_id == health_transitions.c.customer_id,
        health_results.c.week == health_transitions.c.week,
    )
    page = (
        select(health_transitions, health_results.c.inputs, before.label("inputs_before"))
        .join(health_results, now)
        .where(health_transitions.c.run_id == run.id)
        .where(health_transitions.c.customer_id >= row.first_id, health_transitions.c.customer_id < row.end_id)
        .where(health_transitions.c.customer_id > after)
        .order_by(health_transitions.c.customer_id)
        .limit(size)
    )
    return (await write.execute(page)).all()


async def raise_for(write: Write, transitions: Sequence[tuple[Row[Any], Moved | None]]) -> None:
    """Raises an alert for each transition that has none yet."""
    rows = [
        {"id": new_id(), "customer_id": row.customer_id, "week": row.week, "from_status": row.from_status,
         "to_status": row.to_status, "run_id": row.run_id, "moved_metric": moved and moved.metric,
         "moved_before": moved and moved.before, "moved_after": moved and moved.after, "raised_at": write.now}
        for row, moved in transitions
    ]  # fmt: skip
    if rows:
        await write.execute(upsert(alerts).values(rows).on_conflict_do_nothing())


async def raised(connection: AsyncConnection, run_id: UUID, customer_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """The alerts that a run raised for these customers, by customer."""
    mine = select(alerts).where(
        alerts.c.run_id == run_id, alerts.c.customer_id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid)))
    )
    return (await connection.execute(mine.order_by(alerts.c.customer_id))).all()


async def get(connection: AsyncConnection, scope: Scope, alert_id: UUID) -> Row[Any] | None:
    """The alert, where it is in scope."""
    mine = scope.limit(select(alerts).where(alerts.c.id == alert_id), alerts.c.customer_id)
    return (await connection.execute(mine)).one_or_none()


async def page(
    read: AsyncConnection, scope: Scope, customer_id: UUID | None, open_only: bool, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` alerts in scope, newest first, after (raised_at, id) `after`."""
    order = (alerts.c.raised_at, alerts.c.id)
    query = select(alerts)
    if open_only:
        query = query.where(alerts.c.acknowledged_at.is_(None))
    if after:
        query = query.where(tuple_(*order) < tuple_(*after))
    if customer_id is None:
        return await page_of(read, scope, query, alerts.c.customer_id, order, size, descending=True)
    theirs = query.where(alerts.c.customer_id == customer_id).order_by(*(column.desc() for column in order))
    return (await read.execute(scope.limit(theirs.limit(size), alerts.c.customer_id))).all()


async def acknowledge(write: Write, alert_id: UUID, employee_id: UUID) -> Row[Any]:
    """Notes who took note of the alert first; answers it as it is then. It was found in scope before."""
    in_scope = "the alert was found in scope"
    mine = update(alerts).where(alerts.c.id == alert_id, alerts.c.acknowledged_at.is_(None))
    noted = mine.values(acknowledged_by=employee_id, acknowledged_at=write.now)
    await write.execute(unscoped(noted, in_scope))
    return (await write.execute(unscoped(select(alerts).where(alerts.c.id == alert_id), in_scope))).one()
