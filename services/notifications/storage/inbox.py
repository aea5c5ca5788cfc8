"""Items of inboxes: each cause once for each employee."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.storage.recipients import owners, with_deputies
from services.notifications.storage.tables import inbox_items
from services.shared.access import Scope, unscoped
from services.shared.db import Write

HEALTH_ALERT = "HEALTH_ALERT"
COUNT_LIMIT = 1000
CUSTOMER = inbox_items.c.customer_id


@dataclass(frozen=True)
class Reader:
    """Whose inbox is read, and by what he sees of it: `scope` his own, `absent` those of the colleagues that he stands
    in for today."""

    employee_id: UUID
    scope: Scope
    absent: Mapping[UUID, Scope] = field(default_factory=dict)

    def items(self, *columns: Any) -> Select[Any]:
        """His items that he may see now: of a customer in his scope, or an absent colleague's of a customer in that
        one's scope. Those of no customer go with the person alone."""
        query = select(*(columns or (inbox_items,))).where(inbox_items.c.employee_id == self.employee_id)
        if not self.scope.everything:
            whose = inbox_items.c.on_behalf_of_id
            own = self.scope.holds(CUSTOMER) | (CUSTOMER.is_(None) & whose.is_(None))
            copies = [(whose == absent_id) & (scope.holds(CUSTOMER) | CUSTOMER.is_(None))
                      for absent_id, scope in self.absent.items()]  # fmt: skip
            query = query.where(or_(own, *copies))
        return unscoped(query, "limited here to what the reader sees")


async def deliver_alerts(write: Write, alerts: Sequence[tuple[UUID, UUID, str]], today: date) -> int:
    """Puts alerts (id, customer, facts as JSON text) into the inboxes of all who own the customer on the business date
    `today`, and of who stands in for them; answers how many items are new."""
    arrays = [([f"alert/{alert[0]}" for alert in alerts], Text), ([alert[0] for alert in alerts], Uuid),
              ([alert[1] for alert in alerts], Uuid), ([alert[2] for alert in alerts], Text)]  # fmt: skip
    sent = (
        func.unnest(*(bindparam(None, values, ARRAY(kind)) for values, kind in arrays))
        .table_valued(column("cause", Text), column("alert_id", Uuid), column("customer_id", Uuid),
                      column("facts", Text), name="sent")
        .render_derived()
    )  # fmt: skip
    told = with_deputies(owners(sent, today).cte("own"), today)
    items = (
        select(
            func.uuidv7(),
            told.c.employee_id,
            told.c.on_behalf_of_id,
            told.c.cause,
            literal(HEALTH_ALERT),
            sent.c.customer_id,
            sent.c.alert_id,
            cast(sent.c.facts, JSONB),
            literal(timedelta()),
            literal(write.now),
        )
        .join_from(told, sent, sent.c.cause == told.c.cause)
        .order_by(told.c.employee_id, told.c.cause)
    )
    names = ["id", "employee_id", "on_behalf_of_id", "cause", "kind", "customer_id", "alert_id", "facts", "late_by",
             "created_at"]  # fmt: skip
    return (await write.execute(upsert(inbox_items).from_select(names, items).on_conflict_do_nothing())).rowcount


async def add(write: Write, recipients: Iterable[UUID], item: Mapping[str, Any], today: date) -> None:
    """Puts an item (cause, kind, customer_id, task_id, facts, late_by) into inboxes that don't have its cause yet: the
    recipients', and those of who stands in for them on the business date `today`."""
    named = bindparam(None, sorted(set(recipients)), ARRAY(Uuid))
    own = select(literal(item["cause"], Text).label("cause"), func.unnest(named).label("employee_id")).cte("own")
    told = with_deputies(own, today)
    rest = {name: literal(value, inbox_items.c[name].type) for name, value in item.items()}
    rows = select(func.uuidv7(), told.c.employee_id, told.c.on_behalf_of_id, literal(write.now), *rest.values())
    names = ["id", "employee_id", "on_behalf_of_id", "created_at", *rest]
    items = upsert(inbox_items).from_select(names, rows.order_by(told.c.employee_id))
    await write.execute(items.on_conflict_do_nothing())


async def page(
    read: AsyncConnection, reader: Reader, unread_only: bool, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` items of a reader, newest first, after (created_at, id) `after`."""
    query = reader.items()
    if unread_only:
        query = query.where(inbox_items.c.read_at.is_(None))
    if after:
        query = query.where(tuple_(inbox_items.c.created_at, inbox_items.c.id) < tuple_(*after))
    return (
        await read.execute(query.order_by(inbox_items.c.created_at.desc(), inbox_items.c.id.desc()).limit(size))
    ).all()


async def of(connection: AsyncConnection, reader: Reader, item_ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Those of the items that are the reader's."""
    mine = reader.items().where(inbox_items.c.id == any_(bindparam(None, list(item_ids), ARRAY(Uuid))))
    return {row.id: row for row in await connection.execute(mine)}


async def mark_read(write: Write, item_ids: Iterable[UUID]) -> None:
    """Notes that items, which are the reader's, were read now; the first time stays."""
    unread = update(inbox_items).where(
        inbox_items.c.id == any_(bindparam(None, list(item_ids), ARRAY(Uuid))), inbox_items.c.read_at.is_(None)
    )
    await write.execute(unscoped(unread.values(read_at=write.now), "they were found as the reader's"))


async def count_unread(read: AsyncConnection, reader: Reader) -> int:
    """The reader's unread items, counted up to 1,000."""
    unread = reader.items(inbox_items.c.id).where(inbox_items.c.read_at.is_(None)).limit(COUNT_LIMIT).subquery()
    counted = select(func.count()).select_from(unread)
    return (await read.execute(unscoped(counted, "counts what the reader sees"))).scalar_one()
