"""Who churned and who returned, told at the moment at which it is so."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.customers.api.happened import happened
from services.customers.domain.churn import is_churned
from services.customers.storage import churn
from services.customers.storage.churn import MovedEnd
from services.customers.storage.timeline import SYSTEM, Entry
from services.shared.clock import business_date, end_of_day
from services.shared.db import Write


async def ends_moved(write: Write, customer_ids: Sequence[UUID], zone: ZoneInfo) -> None:
    """Tells who of these customers returned or churned because the end of his last contract was moved.

    To be called in the transaction that moved their ends, by whatever means, after it has put that on their timelines;
    for others it does nothing. Time's own part is notice_churn's.
    """
    moved = await churn.moved_ends(write, customer_ids)
    today = business_date(write.now, zone)
    away = [each for each in moved if is_churned(each.before, today)]
    await _make_up(write, away, zone)
    returned = [each for each in away if not is_churned(each.after, today)]
    churned = [each for each in moved if is_churned(each.after, today)]
    await churn.notice(write, [(each.customer_id, each.after) for each in churned if each.after])
    fell = [each for each in churned if not is_churned(each.before, today)]
    told = [*((each, "RETURNED") for each in returned), *((each, "CHURNED") for each in fell)]
    await happened(write, [_entry(each.customer_id, each.after, kind, write.now) for each, kind in told])


async def notice_churn(
    write: Write, day: date, after: UUID | None, size: int, zone: ZoneInfo
) -> tuple[int, UUID | None]:
    """Tells who churned on the business date `day`, up to `size` customers after the one with the id `after`.

    Answers how many that were, and the last customer that was looked at where there may be more. Who came as a churned
    customer didn't churn here.
    """
    end = day - timedelta(days=1)
    ids = await churn.ended_on(write, end, end_of_day(end, zone), after, size)
    new = await churn.notice(write, [(customer_id, end) for customer_id in ids])
    await happened(write, [_entry(*each, "CHURNED", end_of_day(each[1], zone)) for each in sorted(new)])
    return len(new), ids[-1] if len(ids) == size else None


async def _make_up(write: Write, away: Sequence[MovedEnd], zone: ZoneInfo) -> None:
    """Whose end is moved before anybody noticed that he had churned by it churned all the same, while nobody looked."""
    unnoticed = [
        (each.customer_id, each.before)
        for each in away
        if each.before and each.created_at < end_of_day(each.before, zone)
    ]
    new = await churn.notice(write, unnoticed)
    await happened(write, [_entry(*each, "CHURNED", end_of_day(each[1], zone)) for each in sorted(new)])


def _entry(customer_id: UUID, end: date | None, kind: str, occurred_at: datetime) -> Entry:
    facts = {"last_contract_end": end.isoformat()} if end else {}
    return Entry(customer_id, kind, kind.lower(), facts=facts, occurred_at=occurred_at, origin=SYSTEM)
