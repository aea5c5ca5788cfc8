"""Items of inboxes: each cause once for each employee."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, any_, bindparam, cast, column, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.storage.tables import customer_owners, employees, inbox_items
from services.shared.db import Write
from services.shared.ids import new_id

HEALTH_ALERT = "HEALTH_ALERT"
COUNT_LIMIT = 1000


async def deliver_alerts(write: Write, alerts: Sequence[tuple[UUID, UUID, str]]) -> int:
    """Puts alerts (id, customer, facts as JSON text) into all active owners' inboxes; answers how many are new."""
    arrays = [([alert[0] for alert in alerts], Uuid), ([alert[1] for alert in alerts], Uuid),
              ([alert[2] for alert in alerts], Text)]  # fmt: skip
    sent = (
        func.unnest(*(bindparam(None, values, ARRAY(kind)) for values, kind in arrays))
        .table_valued(column("alert_id", Uuid), column("customer_id", Uuid), column("facts", Text), name="sent")
        .render_derived()
    )
    items = (
        select(
            func.uuidv7(),
            customer_owners.c.employee_id,
            func.concat("alert/", sent.c.alert_id),
            literal(HEALTH_ALERT),
            sent.c.customer_id,
            sent.c.alert_id,
            cast(sent.c.facts, JSONB),
            literal(timedelta()),
            literal(write.now),
        )
        .join(customer_owners, customer_owners.c.customer_id == sent.c.customer_id)
        # an employee that no event told of yet is taken for active
        .outerjoin(employees, employees.c.id == customer_owners.c.employee_id)
        .where(func.coalesce(employees.c.active, True))
        .order_by(customer_owners.c.employee_id, sent.c.alert_id)
    )
    names = ["id", "employee_id", "cause", "kind", "customer_id", "alert_id", "facts", "late_by", "created_at"]
    return (await write.execute(upsert(inbox_items).from_select(names, items).on_conflict_do_nothing())).rowcount


async def add(write: Write, recipients: Iterable[UUID], item: dict[str, Any]) -> None:
    """Puts an item (cause, kind, customer_id, task_id, facts, late_by) into inboxes that don't have its cause yet."""
    rows = [{**item, "id": new_id(), "employee_id": employee, "created_at": write.now}
            for employee in sorted(set(recipients))]  # fmt: skip
    if rows:
        await write.execute(upsert(inbox_items).values(rows).on_conflict_do_nothing())


async def page(
    read: AsyncConnection, employee_id: UUID, unread_only: bool, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` items of an employee, newest first, after (created_at, id) `after`."""
    query = select(inbox_items).where(inbox_items.c.employee_id == employee_id)
    if unread_only:
        query = query.where(inbox_items.c.read_at.is_(None))
    if after:
        query = query.where(tuple_(inbox_items.c.created_at, inbox_items.c.id) < tuple_(*after))
    return (
        await read.execute(query.order_by(inbox_items.c.created_at.desc(), inbox_items.c.id.desc()).limit(size))
    ).all()


async def of(connection: AsyncConnection, employee_id: UUID, item_ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Those of the items that are the employee's."""
    mine = select(inbox_items).where(
        inbox_items.c.employee_id == employee_id,
        inbox_items.c.id == any_(bindparam(None, list(item_ids), ARRAY(Uuid))),
    )
    return {row.id: row for row in await connection.execute(mine)}


async def mark_read(write: Write, item_ids: Sequence[UUID]) -> None:
    """Notes that items were read now; the first time stays."""
    unread = update(inbox_items).where(
        inbox_items.c.id == any_(bindparam(None, list(item_ids), ARRAY(Uuid))), inbox_items.c.read_at.is_(None)
    )
    await write.execute(unread.values(read_at=write.now))


async def count_unread(read: AsyncConnection, employee_id: UUID) -> int:
    """The employee's unread items, counted up to 1,000."""
    unread = (
        select(inbox_items.c.id)
        .where(inbox_items.c.employee_id == employee_id, inbox_items.c.read_at.is_(None))
        .limit(COUNT_LIMIT)
        .subquery()
    )
    return (await read.execute(select(func.count()).select_from(unread))).scalar_one()
