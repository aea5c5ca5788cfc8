"""Runs of the evaluation and their key ranges."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, literal_column, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.domain.weeks import Week
from services.health.storage.tables import (
    customers,
    evaluation_ranges,
    evaluations,
    rule_sets,
    usage,
)
from services.shared.access import unscoped
from services.shared.db import Write
from services.shared.errors import NotFound
from services.shared.ids import new_id

FIRST_ID = UUID(int=0)
END_ID = UUID(int=2**128 - 1)
"""Beyond every UUIDv7."""

EVERY_CUSTOMER = "an evaluation is of every customer"
"""Why its statements need no scope: its steps are for machines, its sums for those alone who see everybody."""


@dataclass(frozen=True)
class Progress:
    """A run with what its ranges came to so far."""

    run: Row[Any]
    rule_set_version: int
    ranges: int
    ranges_done: int
    customers: int
    transitions: int


async def progress(connection: AsyncConnection, run_id: UUID) -> Progress:
    """Raises NotFound where there is no such run."""
    run = (await connection.execute(select(evaluations).where(evaluations.c.id == run_id))).one_or_none()
    if run is None:
        raise NotFound("evaluation", run_id)
    counted = select(
        func.count().label("ranges"),
        func.count(evaluation_ranges.c.done_at).label("done"),
        func.coalesce(func.sum(evaluation_ranges.c.customers), 0).label("customers"),
        func.coalesce(func.sum(evaluation_ranges.c.transitions), 0).label("transitions"),
    ).where(evaluation_ranges.c.run_id == run_id)
    sums = (await connection.execute(unscoped(counted, EVERY_CUSTOMER))).one()
    version = (await connection.execute(select(rule_sets.c.version).where(rule_sets.c.id == run.rule_set_id))).scalar()
    return Progress(run, version or 0, sums.ranges, sums.done, int(sums.customers), int(sums.transitions))


async def alone(write: Write) -> None:
    """Waits until no range is at work, and lets none begin before the transaction ends: while a run is made, and while
    an earlier week than the latest is evaluated."""
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing health evaluation'))"))


async def side_by_side(write: Write) -> None:
    """As `alone`, but others that ask for no more than this are let in."""
    await write.execute(text("select pg_advisory_xact_lock_shared(hashtext('kejing health evaluation'))"))


async def request(write: Write, run_id: UUID, week: Week) -> int:
    """Stores the next run of the week, not planned yet; answers its number."""
    await alone(write)
    highest = select(func.coalesce(func.max(evaluations.c.number), 0)).where(evaluations.c.week == week.monday)
    number: int = (await write.execute(highest)).scalar_one() + 1
    row = {"id": run_id, "week": week.monday, "number": number, "created_at": write.now}
    await write.execute(insert(evaluations).values(row))
    return number


async def lock(write: Write, week: Week, number: int) -> Row[Any]:
    """The run of that week and number, made where it is missing, held until the transaction ends."""
    await alone(write)
    row = {"id": new_id(), "week": week.monday, "number": number, "created_at": write.now}
    await write.execute(upsert(evaluations).values(row).on_conflict_do_nothing(index_elements=["week", "number"]))
    mine = select(evaluations).where(evaluations.c.week == week.monday, evaluations.c.number == number)
    return (await write.execute(mine.with_for_update())).one()


async def plan(write: Write, run_id: UUID, rule_set_id: UUID, range_size: int) -> None:
    """Fixes the run's rules and divides the customers' ids into ranges of at most `range_size`."""
    numbered = select(
        customers.c.id, (func.row_number().over(order_by=customers.c.id) - 1).label("position")
    ).subquery()
    starts = select(numbered.c.id).where(numbered.c.position % range_size == 0).order_by(numbered.c.id)
    firsts = [FIRST_ID, *(await write.execute(starts)).scalars().all()[1:]]
    rows = [{"run_id": run_id, "number": number, "first_id": first, "end_id": end}
            for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], END_ID], strict=True))]  # fmt: skip
    await write.execute(insert(evaluation_ranges), rows)
    mine = update(evaluations).where(evaluations.c.id == run_id)
    await write.execute(mine.values(rule_set_id=rule_set_id, planned_at=write.now))


async def range_of(connection: AsyncConnection, run_id: UUID, number: int) -> tuple[Row[Any], Row[Any]]:
    """The run and its range. Raises NotFound where there is no such range."""
    mine = (evaluation_ranges.c.run_id == run_id) & (evaluation_ranges.c.number == number)
    row = (await connection.execute(select(evaluation_ranges).where(mine))).one_or_none()
    if row is None:
        raise NotFound("evaluation range", f"{run_id}/{number}")
    run = (await connection.execute(select(evaluations).where(evaluations.c.id == run_id))).one()
    return run, row


async def mark_alerted(write: Write, run_id: UUID, number: int) -> None:
    """Notes that the alerts of the range are delivered; the first time stays."""
    mine = (evaluation_ranges.c.run_id == run_id) & (evaluation_ranges.c.number == number)
    noted = update(evaluation_ranges).where(mine, evaluation_ranges.c.alerted_at.is_(None))
    await write.execute(noted.values(alerted_at=write.now))


async def unalerted_page(
    read: AsyncConnection, done_before: datetime, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` ranges with transitions that were evaluated before the instant and are not alerted, with their week,
    the longest waiting first, after (done_at, run_id, number) `after`."""
    keys = (evaluation_ranges.c.done_at, evaluation_ranges.c.run_id, evaluation_ranges.c.number)
    query = (
        select(evaluation_ranges, evaluations.c.week)
        .join(evaluations, evaluations.c.id == evaluation_ranges.c.run_id)
        .where(evaluation_ranges.c.done_at < done_before)
        .where(evaluation_ranges.c.transitions > literal_column("0"))  # as in the partial index
        .where(evaluation_ranges.c.alerted_at.is_(None))
        .order_by(*keys)
        .limit(size)
    )
    if after:
        query = query.where(tuple_(*keys) > tuple_(*after))
    return (await read.execute(query)).all()


async def finish(write: Write, run_id: UUID) -> None:
    """Marks the run as finished; the first time stays."""
    mine = update(evaluations).where(evaluations.c.id == run_id, evaluations.c.finished_at.is_(None))
    await write.execute(mine.values(finished_at=write.now))


async def finished_weeks(read: AsyncConnection, since: Week) -> set[Week]:
    done = select(evaluations.c.week).where(evaluations.c.week >= since.monday, evaluations.c.finished_at.is_not(None))
    return {Week(monday) for monday in (await read.execute(done)).scalars()}


async def beginnings(read: AsyncConnection) -> tuple[datetime | None, date | None]:
    """When the first customer was created, and the first day with figures."""
    first_customer = select(func.min(customers.c.created_at)).scalar_subquery()
    first_day = select(func.min(usage.c.day)).scalar_subquery()
    row: Sequence[Any] = (await read.execute(select(first_customer, first_day))).one()
    return row[0], row[1]
