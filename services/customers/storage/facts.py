"""What other services told of customers, kept for conditions and overviews. Only what is newer than the known is
applied. Answers are the customers whose facts are other ones now, by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Date, Numeric, Text, Uuid, bindparam, delete, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, DateTime

from services.customers.storage.fact_tables import customer_recurring
from services.customers.storage.tables import customers
from services.shared.access import unscoped
from services.shared.db import Write

OPEN_MONTH = date(9999, 12, 1)
TOLD = "what the owner of a fact tells is of every customer"


@dataclass(frozen=True)
class Range:
    """Recurring revenue that is the same in each month from `from_month` to `to_month`, both included and the first
    days of months, OPEN_MONTH for an open end; `mrr` in the currency's major unit."""

    customer_id: UUID
    currency: str
    from_month: date
    to_month: date
    mrr: Decimal


@dataclass(frozen=True)
class Metric:
    """A metric's value, None where it is not known."""

    customer_id: UUID
    key: str
    value: Decimal | None


async def touch(write: Write, customer_id: UUID, occurred_at: datetime) -> bool:
    """Notes that somebody followed up; whether it was later than any follow-up before."""
    last = customers.c.last_touch_at
    later = update(customers).where(customers.c.id == customer_id, last.is_(None) | (last < occurred_at))
    return bool((await write.execute(unscoped(later.values(last_touch_at=occurred_at), TOLD))).rowcount)


_NEWER_RECURRING = unscoped(
    text("""
        update customers set recurring_version = told.version
        from unnest(:ids, :versions) told (id, version)
        where customers.id = told.id and customers.recurring_version < told.version
        returning customers.id
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("versions", type_=ARRAY(BigInteger))),
    TOLD,
)
_ADD_RANGES = unscoped(
    text("""
        insert into customer_recurring (customer_id, currency, from_month, to_month, mrr)
        select * from unnest(:ids, :currencies, :firsts, :lasts, :figures)
    """).bindparams(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("currencies", type_=ARRAY(Text)),
        bindparam("firsts", type_=ARRAY(Date)),
        bindparam("lasts", type_=ARRAY(Date)),
        bindparam("figures", type_=ARRAY(Numeric)),
    ),
    TOLD,
)


async def set_recurring(write: Write, versions: Mapping[UUID, int], ranges: Sequence[Range]) -> Sequence[UUID]:
    """Takes over all the ranges of customers, whose facts are of these versions."""
    known = {"ids": list(versions), "versions": list(versions.values())}
    newer = set((await write.execute(_NEWER_RECURRING, known)).scalars())
    if newer:
        gone = delete(customer_recurring).where(customer_recurring.c.customer_id.in_(newer))
        await write.execute(unscoped(gone, TOLD))
    wanted = [each for each in ranges if each.customer_id in newer]
    if wanted:
        columns = {
            "ids": [each.customer_id for each in wanted],
            "currencies": [each.currency for each in wanted],
            "firsts": [each.from_month for each in wanted],
            "lasts": [each.to_month for each in wanted],
            "figures": [each.mrr for each in wanted],
        }
        await write.execute(_ADD_RANGES, columns)
    return sorted(newer)


_SET_METRICS = unscoped(
    text("""
        with told as (
            insert into customer_metrics (customer_id, metric, value, week, computed_at)
            select new.customer_id, new.metric, new.value, :week, :computed_at
            from unnest(:ids, :metrics, :figures) new (customer_id, metric, value)
            join customers on customers.id = new.customer_id
            order by 1, 2
            on conflict (customer_id, metric) do update
            set value = excluded.value, week = excluded.week, computed_at = excluded.computed_at
            where (customer_metrics.week, customer_metrics.computed_at) < (excluded.week, excluded.computed_at)
            returning new.customer_id, old.value as before, new.value as after
        )
        select distinct customer_id from told where before is distinct from after order by customer_id
    """).bindparams(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("metrics", type_=ARRAY(Text)),
        bindparam("figures", type_=ARRAY(Numeric)),
        bindparam("week", type_=Text),
        bindparam("computed_at", type_=DateTime(timezone=True)),
    ),
    TOLD,
)


async def set_metrics(write: Write, metrics: Sequence[Metric], week: str, computed_at: datetime) -> Sequence[UUID]:
    """An older week never replaces a newer one; of two computations for one week the later counts."""
    columns = {
        "ids": [each.customer_id for each in metrics],
        "metrics": [each.key for each in metrics],
        "figures": [each.value for each in metrics],
        "week": week,
        "computed_at": computed_at,
    }
    return (await write.execute(_SET_METRICS, columns)).scalars().all()
