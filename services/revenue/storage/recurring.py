"""What each customer's monthly recurring revenue is in all months: the rule of domain/mrr.py for all months at once.

An order counts the same in each month, but for the odd cents in its first ones: one or two ranges of months. Where the
ranges of a customer's orders begin and end its sum changes, and nowhere else.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.storage.mrr import SCALE
from services.shared.access import unscoped
from services.shared.db import Write

_WHY = "the writer of an order looks its customer up in scope"

# Whole numbers of minor units, as in storage/mrr.py. `until`: the first month that no longer counts.
_REFRESH = text(f"""
    with priced as (
        select customer_id, currency, monthly_price, case currency {SCALE} else 100 end as scale,
               amount * case currency {SCALE} else 100 end as minor, term_end - term_start + 1 as days,
               date_trunc('month', term_start)::date as first_month,
               date_trunc('month', last_day + 1)::date as until,
               case when calendar_months >= 1
                         and (term_start + make_interval(months => calendar_months))::date = term_end + 1
                    then calendar_months else 0 end as whole_months
        from order_terms,
             lateral (select cast((extract(year from term_end + 1) - extract(year from term_start)) * 12
                                  + extract(month from term_end + 1) - extract(month from term_start) as int))
                 as counted(calendar_months)
        where customer_id = any(:ids) and status = 'EFFECTIVE' and counts_to_mrr
    ),
    pieces as (
        select customer_id, currency, first_month as from_month, until,
               coalesce(monthly_price, div(2 * minor * 304375 + days * 10000, 2 * days * 10000) / scale) as mrr
        from priced where monthly_price is not null or whole_months = 0
        union all
        select customer_id, currency, first_month, least(until, turn), (div(minor, whole_months) + 1) / scale
        from priced, lateral (select (first_month + make_interval(
            months => mod(minor, whole_months)::int))::date) as odd(turn)
        where monthly_price is null and whole_months > 0
        union all
        select customer_id, currency, turn, until, div(minor, whole_months) / scale
        from priced, lateral (select (first_month + make_interval(
            months => mod(minor, whole_months)::int))::date) as odd(turn)
        where monthly_price is null and whole_months > 0
    ),
    turns as (
        select customer_id, currency, month, sum(change) as change
        from (
            select customer_id, currency, from_month as month, mrr as change from pieces
            where until is null or until > from_month
            union all
            select customer_id, currency, until, -mrr from pieces where until > from_month
        ) as changes
        group by customer_id, currency, month
        having sum(change) <> 0
    ),
    sums as (
        select customer_id, currency, month as from_month,
               (lead(month) over later - interval '1 month')::date as to_month, sum(change) over later as mrr
        from turns window later as (partition by customer_id, currency order by month)
    ),
    found as (
        select customer_id, jsonb_agg(jsonb_build_array(currency, from_month, to_month, trim_scale(mrr)::text)
                                      order by currency collate "C", from_month) as ranges
        from sums where mrr > 0 group by customer_id
    )
    insert into recurring (customer_id, ranges, version)
    select asked.customer_id, coalesce(found.ranges, '[]'), 1
    from unnest(cast(:ids as uuid[])) as asked(customer_id) left join found using (customer_id)
    on conflict (customer_id) do update set ranges = excluded.ranges, version = recurring.version + 1
    where recurring.ranges <> excluded.ranges
    returning customer_id, ranges, version
""")  # noqa: S608 - built from the table of currencies alone

_UNTOLD = text("""
    select distinct customer_id from orders
    where customer_id > :after and not exists (select from recurring where recurring.customer_id = orders.customer_id)
    order by customer_id limit :size
""")


async def refresh(write: Write, customer_ids: Iterable[UUID]) -> Sequence[Row[Any]]:
    """Computes the ranges of these customers, who are held, from their orders; answers those that changed, with their
    new version."""
    return (await write.execute(unscoped(_REFRESH, _WHY), {"ids": sorted(set(customer_ids))})).all()


async def untold(read: AsyncConnection, after: UUID, size: int) -> Sequence[UUID]:
    """Up to `size` customers with orders whose ranges were never told, in the order of their ids, after `after`."""
    query = unscoped(_UNTOLD, "others are told of every customer")
    return (await read.execute(query, {"after": after, "size": size})).scalars().all()
