"""What every change of customers brings with it: their lists, their segments, and what others are told."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.customers.api.happened import happened
from services.customers.api.wire import emit_changed
from services.customers.storage import segments
from services.customers.storage.condition_columns import Day
from services.customers.storage.ownership import refresh_lists
from services.customers.storage.segments import AT_ONCE, Moved, Segment
from services.customers.storage.timeline import ENTERED, LEFT, SYSTEM, Entry
from services.shared.db import Write


async def follow(write: Write, customer_ids: Sequence[UUID]) -> None:
    """To be called once in a transaction that changed fields, owners, tags or projected facts of these customers, after
    the changes. Brings their lists and segments up to date and tells their facts. The caller holds the lock of
    one_at_a_time.
    """
    await refresh_lists(write, customer_ids)
    await follow_facts(write, customer_ids)
    await emit_changed(write, customer_ids)


async def follow_facts(write: Write, customer_ids: Sequence[UUID]) -> None:
    """As `follow`, where only facts changed that conditions ask of, and that nobody is told of: last touch, recurring
    revenue, metrics, health, tags, groups.
    """
    if customer_ids and (present := await segments.present(write.connection)):
        await look_again(write, present, customer_ids)


async def follow_created(write: Write, created: Sequence[Any]) -> None:
    """Looks whether customers that this transaction created are in segments; `created`: rows with their ids as text."""
    if present := await segments.present(write.connection):
        await look_again(write, present, [UUID(row.id) for row in created])


async def look_again(write: Write, wanted: Sequence[Segment], customer_ids: Sequence[UUID]) -> int:
    """Looks whether these customers are in segments, by the business date of now, and tells who came in and who went
    out; answers how many that were. The caller holds the lock of one_at_a_time.
    """
    moved: list[Moved] = []
    for start in range(0, len(customer_ids), AT_ONCE):
        ids = customer_ids[start : start + AT_ONCE]
        moved += await segments.evaluate(write, wanted, ids, Day.of(write.now, write.zone))
    # Whom a segment never looked at neither comes in nor goes out: he is found, silently, when it gets to him.
    told = [each for each in moved if each.segment.reaches(each.customer_id)]
    await happened(write, [
        Entry(each.customer_id, "SEGMENT", ENTERED if each.entered else LEFT, str(each.segment.id), origin=SYSTEM)
        for each in told
    ])  # fmt: skip
    return len(told)
