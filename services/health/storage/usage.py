"""Daily figures: taken in once, whatever is sent again; rows of unknown customers wait for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    LargeBinary,
    Row,
    Text,
    Uuid,
    any_,
    bindparam,
    column,
    delete,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.storage.tables import FIGURES, parked_usage, usage, usage_receipts
from services.shared.access import Scope
from services.shared.db import Write

LATEST_DAYS = 35
"""How late a day's figures are still accepted."""


@dataclass(frozen=True)
class DayFigures:
    """A row of a source: `digest` of its whole content; `figures` holds only those that it tells."""

    source_id: str
    digest: bytes
    customer_id: UUID
    day: date
    figures: Mapping[str, int]


async def take(write: Write, source: str, rows: Sequence[DayFigures]) -> int:
    """Takes rows in, the later of two for one day last; answers how many of them changed what is known."""
    fresh = await _receive(write, source, rows)
    days: dict[tuple[UUID, date], dict[str, int]] = {}
    for row in rows:
        if row.source_id in fresh:
            days.setdefault((row.customer_id, row.day), {}).update(row.figures)
    if not days:
        return 0
    changed = await _upsert(write, days)
    return sum((row.customer_id, row.day) in changed for row in rows if row.source_id in fresh)


async def _receive(write: Write, source: str, rows: Sequence[DayFigures]) -> set[str]:
    """The source ids of the rows that did not take effect before just as they are now."""
    rows = sorted(rows, key=lambda row: row.source_id)  # one order for all writers: no deadlock
    columns = _unnest(
        source_id=(Text, [row.source_id for row in rows]),
        digest=(LargeBinary, [row.digest for row in rows]),
        day=(Date, [row.day for row in rows]),
    )
    sent = select(bindparam(None, source, Text), columns.c.source_id, columns.c.digest, columns.c.day)
    statement = upsert(usage_receipts).from_select(["source", "source_id", "digest", "day"], sent)
    new = statement.excluded
    received = statement.on_conflict_do_update(
        index_elements=["source", "source_id"],
        set_={"digest": new.digest, "day": new.day},
        where=usage_receipts.c.digest != new.digest,
    ).returning(usage_receipts.c.source_id)
    return set((await write.execute(received)).scalars())


async def _upsert(write: Write, days: Mapping[tuple[UUID, date], Mapping[str, int]]) -> set[tuple[UUID, date]]:
    """Writes the figures that are told, leaves the others; answers the days that changed."""
    ordered = sorted(days.items())  # one order for all writers: no deadlock, and inserts that stay close together
    columns = _unnest(
        customer_id=(Uuid, [key[0] for key, _ in ordered]),
        day=(Date, [key[1] for key, _ in ordered]),
        **{figure: (BigInteger, [figures.get(figure) for _, figures in ordered]) for figure in FIGURES},
    )
    names = ["customer_id", "day", *FIGURES]
    statement = upsert(usage).from_select(names, select(*(columns.c[name] for name in names)))
    told = {figure: func.coalesce(statement.excluded[figure], usage.c[figure]) for figure in FIGURES}
    changed = statement.on_conflict_do_update(
        index_elements=["customer_id", "day"],
        set_=told,
        where=or_(*(usage.c[figure].is_distinct_from(value) for figure, value in told.items())),
    ).returning(usage.c.customer_id, usage.c.day)
    return {(row.customer_id, row.day) for row in await write.execute(changed)}


def _unnest(**arrays: tuple[Any, list[Any]]) -> Any:
    """Arrays of equal length, by column name with their type, as the rows of a table."""
    return (
        func.unnest(*(bindparam(None, values, ARRAY(kind)) for kind, values in arrays.values()))
        .table_valued(*(column(name, kind) for name, (kind, _) in arrays.items()), name="sent")
        .render_derived()
    )


async def hold_parked(write: Write, *, alone: bool = False) -> None:
    """Held by who parks rows before he looks whose customer is missing, and `alone` by who tells of customers before
    he fetches their rows: else a row could be parked for a customer who has just come, and wait for ever."""
    lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await write.execute(text(f"select {lock}(hashtext('kejing parked usage'))"))


async def park(write: Write, source: str, rows: Iterable[tuple[str, str, bytes]]) -> None:
    """Keeps (source_id, customer key, serialized row) until the customer is known."""
    values = [{"source": source, "source_id": source_id, "customer_key": key, "row": row, "received_at": write.now}
              for source_id, key, row in rows]  # fmt: skip
    statement = upsert(parked_usage).values(values)
    await write.execute(
        statement.on_conflict_do_update(
            index_elements=["source", "source_id"],
            set_={name: statement.excluded[name] for name in ("customer_key", "row", "received_at")},
            where=parked_usage.c.row != statement.excluded.row,  # a corrected row is the later one
        )
    )


async def unpark(write: Write, keys: Sequence[str]) -> Sequence[Row[Any]]:
    """Removes the rows that waited for customers with these keys; answers (source, row, received_at), oldest first."""
    waiting = delete(parked_usage).where(parked_usage.c.customer_key == any_(bindparam(None, list(keys), ARRAY(Text))))
    rows = await write.execute(waiting.returning(parked_usage.c.source, parked_usage.c.row, parked_usage.c.received_at))
    return sorted(rows.all(), key=lambda row: row.received_at)


async def days(read: AsyncConnection, scope: Scope, customer_id: UUID, first: date, last: date) -> Sequence[Row[Any]]:
    """A customer's rows from `first` to `last`, oldest first; none where he is out of scope."""
    mine = select(usage).where(usage.c.customer_id == customer_id, usage.c.day.between(first, last))
    return (await read.execute(scope.limit(mine.order_by(usage.c.day), usage.c.customer_id))).all()


async def forget_receipts(write: Write, today: date) -> None:
    """Forgets receipts of days that are too old to be sent again."""
    await write.execute(delete(usage_receipts).where(usage_receipts.c.day < today - timedelta(days=LATEST_DAYS + 1)))
