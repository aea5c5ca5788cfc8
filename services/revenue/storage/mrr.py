"""MRR of many orders and months in one statement: the rule of domain/mrr.py in SQL."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextualSelect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.revenue.domain.currency import MINOR_DIGITS
from services.revenue.storage.tables import order_terms
from services.shared.access import Scope, unscoped

SCALE = " ".join(f"when '{code}' then {10**digits}" for code, digits in MINOR_DIGITS.items() if digits != 2)
"""Branches of "case currency … else 100 end": minor units in a major one."""

# Whole numbers of minor units throughout, so that nothing is rounded but where the rule says so. What it reads,
# seen_orders, is the caller's part of order_terms: see _in_scope. It is read once, whatever the number of months.
_FIGURES = f"""
    months as (
        select month::date as month, (month + interval '1 month' - interval '1 day')::date as snapshot
        from generate_series(cast(:first_month as timestamp), cast(:last_month as timestamp), interval '1 month') month
    ),
    priced as materialized (
        select id, number, customer_id, product, currency, monthly_price, term_start, last_day,
               case currency {SCALE} else 100 end as scale,
               amount * case currency {SCALE} else 100 end as minor,
               term_end - term_start + 1 as days,
               case when calendar_months >= 1
                         and (term_start + make_interval(months => calendar_months))::date = term_end + 1
                    then calendar_months else 0 end as whole_months
        from seen_orders,
             lateral (select cast((extract(year from term_end + 1) - extract(year from term_start)) * 12
                                  + extract(month from term_end + 1) - extract(month from term_start) as int))
                 as counted(calendar_months)
        where term_start < cast(:last_month as timestamp) + interval '1 month'
              and (term_end is null or term_end >= cast(:first_month as date))
    ),
    figures as (
        select month, id, number, customer_id, product, currency, whole_months, place + 1 as month_of_term,
               case when monthly_price is not null then monthly_price
                    when whole_months > 0
                    then (div(minor, whole_months) + cast(place < mod(minor, whole_months) as int)) / scale
                    else div(2 * minor * 304375 + days * 10000, 2 * days * 10000) / scale end as mrr
        from months
        join priced on term_start <= snapshot and (last_day is null or last_day >= snapshot),
        lateral (select cast((extract(year from month) - extract(year from term_start)) * 12
                             + extract(month from month) - extract(month from term_start) as int)) as counted(place)
    )
"""  # noqa: S608 - built from the table of currencies alone

_TOTALS = text(f"""
    select month, currency, sum(mrr) as mrr, count(*) as orders, count(distinct customer_id) as customers
    from (with {_FIGURES} select * from figures) as figures where mrr > 0
    group by month, currency
    order by month, currency
""").columns()  # noqa: S608

_BREAKDOWN = text(f"""
    select id, number, customer_id, product, currency, mrr, month_of_term, coalesce(whole_months, 0) as months_in_term
    from (with {_FIGURES} select * from figures) as figures
    where mrr > 0 and (cast(:currency as text) is null
                       or (currency, -mrr, id) > (:currency, -cast(:mrr as numeric), cast(:order_id as uuid)))
    order by currency, mrr desc, id
    limit :limit
""").columns()  # noqa: S608


async def totals(
    read: AsyncConnection, scope: Scope, first_month: date, last_month: date, customer_id: UUID | None
) -> Sequence[Row[Any]]:
    """Rows (month, currency, mrr, orders, customers) of the months from `first_month` to `last_month` (their first
    days), in this order; `mrr` in the currency's major unit. Months and currencies without revenue have no row.
    """
    statement = _in_scope(_TOTALS, scope, customer_id)
    return (await read.execute(statement, {"first_month": first_month, "last_month": last_month})).all()


async def breakdown(
    read: AsyncConnection,
    scope: Scope,
    month: date,
    customer_id: UUID | None,
    *,
    limit: int,
    after: tuple[str, Decimal, UUID] | None,
) -> Sequence[Row[Any]]:
    """Up to `limit` orders behind the figure of `month` (its first day), after the one with the sort values `after`
    (currency, mrr, order id): by currency, the largest first.
    """
    currency, mrr, order_id = after or (None, None, None)
    parameters = {"first_month": month, "last_month": month, "limit": limit, "currency": currency, "mrr": mrr,
                  "order_id": order_id}  # fmt: skip
    return (await read.execute(_in_scope(_BREAKDOWN, scope, customer_id), parameters)).all()


def _in_scope(statement: TextualSelect, scope: Scope, customer_id: UUID | None) -> TextualSelect:
    """`statement` on the orders of customers in scope, or of one of them, that count."""
    of = order_terms.c
    counted = select(order_terms).where(of.status == "EFFECTIVE", of.counts_to_mrr)
    if customer_id is not None:
        counted = scope.limit(counted.where(of.customer_id == customer_id), of.customer_id)
    else:
        counted = scope.whole(counted, of.customer_id)
    return unscoped(statement.add_cte(counted.cte("seen_orders")), "what it reads, seen_orders, is scoped")
