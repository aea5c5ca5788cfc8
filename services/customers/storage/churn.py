"""Who churned, and which business days have had their turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import churns, customers, customers_days, timeline
from services.shared.access import unscoped
from services.shared.db import Write


@dataclass(frozen=True)
class MovedEnd:
    """A customer's last contract end was another one before. Business dates; None: none."""

    customer_id: UUID
    created_at: datetime
    before: date | None
    after: date | None


EVERYBODY = "time passes for every customer"
FOLLOWS = "the ends were moved in scope, or by who owns them"


async def moved_ends(write: Write, customer_ids: Sequence[UUID]) -> list[MovedEnd]:
    """Which of these customers' ends this transaction moved, as it has put it on their timelines."""
    end = timeline.c.changes["last_contract_end"]
    query = (
        select(timeline.c.customer_id, customers.c.created_at, end.label("end"))
        .join(customers, customers.c.id == timeline.c.customer_id)
        .where(timeline.c.customer_id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid))))
        .where(timeline.c.occurred_at == write.now, end.is_not(None))
        .order_by(timeline.c.customer_id)
    )
    rows = (await write.execute(unscoped(query, FOLLOWS))).all() if customer_ids else []
    return [MovedEnd(row.customer_id, row.created_at, *map(_day, row.end)) for row in rows]


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


async def ended_on(write: Write, day: date, known_before: datetime, after: UUID | None, size: int) -> Sequence[UUID]:
    """Up to `size` customers, in the order of their ids, whose last contract ended on the business date `day`, and who
    were known before the instant."""
    query = select(customers.c.id).where(customers.c.contract_end_key == day, customers.c.created_at < known_before)
    if after:
        query = query.where(customers.c.id > after)
    return (await write.execute(unscoped(query.order_by(customers.c.id).limit(size), EVERYBODY))).scalars().all()


async def notice(write: Write, ends: Sequence[tuple[UUID, date]]) -> set[tuple[UUID, date]]:
    """Remembers the ends (customer, business date) by which customers churned; answers those that are new."""
    if not ends:
        return set()
    rows = [{"customer_id": customer_id, "contract_end": end} for customer_id, end in ends]
    new = upsert(churns).values(rows).on_conflict_do_nothing().returning(churns.c.customer_id, churns.c.contract_end)
    return {(row.customer_id, row.contract_end) for row in await write.execute(unscoped(new, FOLLOWS))}


async def finish(write: Write, day: date) -> None:
    row = {"day": day, "finished_at": write.now}
    await write.execute(upsert(customers_days).values(row).on_conflict_do_nothing())


async def first_day(read: AsyncConnection) -> date | None:
    """The first business date that was finished."""
    return (await read.execute(select(func.min(customers_days.c.day)))).scalar()


async def first_customer(read: AsyncConnection) -> datetime | None:
    """When the first customer came."""
    return (await read.execute(unscoped(select(func.min(customers.c.created_at)), EVERYBODY))).scalar()


async def finished(read: AsyncConnection, since: date) -> set[date]:
    """The business dates from `since` on that were finished."""
    return set((await read.execute(select(customers_days.c.day).where(customers_days.c.day >= since))).scalars())
