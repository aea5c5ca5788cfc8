"""MRR in SQL says what the rule in domain/mrr.py says."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.revenue.domain.currency import from_minor
from services.revenue.domain.mrr import month_figure
from services.revenue.domain.order import OrderTerms, Status, last_day
from services.revenue.domain.term import add_months
from services.revenue.storage import mrr, orders, recurring
from services.revenue.storage.tables import metadata
from services.shared.access import EVERYTHING
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

FIRST, LAST = date(2023, 12, 1), date(2029, 6, 1)
CUSTOMERS = [new_id() for _ in range(3)]


class RolledBack(Exception):
    pass


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("revenue") as url:
        database = Database(url, utc_now, metadata)
        yield database
        await database.close()


@dataclass(frozen=True)
class Case:
    """An order, and the start of the one that renews it."""

    customer_id: UUID
    terms: OrderTerms
    replaced_from: date | None
    replaced: Status


@st.composite
def cases(draw: st.DrawFn) -> Case:
    start = draw(st.dates(date(2024, 1, 1), date(2026, 12, 31)))
    whole = st.integers(1, 30).map(lambda n: add_months(start, n) - timedelta(days=1))
    end = draw(st.one_of(whole, whole, st.integers(0, 800).map(lambda n: start + timedelta(days=n)), st.none()))
    currency = draw(st.sampled_from(["CNY", "USD", "JPY"]))
    price = from_minor(draw(st.one_of(st.integers(0, 200), st.integers(0, 10**14 // 100))), currency)
    by_month = end is None or draw(st.integers(0, 4)) == 0
    terms = OrderTerms(
        number=str(new_id()), product="p", currency=currency, amount=None if by_month else price,
        monthly_price=price if by_month else None, signed_date=start, term_start=start, term_end=end,
        counts_to_mrr=draw(st.integers(0, 9)) > 0,
        status=draw(st.sampled_from([Status.EFFECTIVE] * 6 + [Status.DRAFT, Status.VOID])),
    )  # fmt: skip
    replaced_from = draw(st.none() | st.integers(1, 900).map(lambda n: start + timedelta(days=n)))
    replaced = draw(st.sampled_from([Status.EFFECTIVE, Status.EFFECTIVE, Status.VOID]))
    return Case(draw(st.sampled_from(CUSTOMERS)), terms, replaced_from, replaced)


def expected(rows: list[Case], customer_id: UUID | None) -> dict[tuple[date, str], tuple[Decimal, int, int]]:
    """(month, currency) → total, orders, customers, order by order."""
    found: dict[tuple[date, str], list[tuple[Decimal, UUID]]] = defaultdict(list)
    for case in rows:
        terms = case.terms
        if terms.status != Status.EFFECTIVE or not terms.counts_to_mrr or customer_id not in (None, case.customer_id):
            continue
        until = last_day(terms.term_end, case.replaced_from if case.replaced == Status.EFFECTIVE else None)
        month = FIRST
        while month <= LAST:
            figure = month_figure(
                month=month, term_start=terms.term_start, term_end=terms.term_end, last_day=until,
                currency=terms.currency, amount=terms.amount, monthly_price=terms.monthly_price,
            )  # fmt: skip
            if figure:
                found[month, terms.currency].append((figure, case.customer_id))
            month = add_months(month, 1)
    return {
        key: (sum((figure for figure, _ in each), Decimal(0)), len(each), len({customer for _, customer in each}))
        for key, each in found.items()
    }


def by_month(ranges: list[list[str | None]]) -> dict[tuple[date, str], Decimal]:
    """What ranges of recurring revenue say of each month, which must be in one of them at most."""
    found: dict[tuple[date, str], Decimal] = {}
    for currency, first, last, figure in ranges:
        month = date.fromisoformat(str(first))
        while month <= min(date.fromisoformat(last) if last else LAST, LAST):
            if month >= FIRST:
                assert (month, currency) not in found
                found[month, str(currency)] = Decimal(str(figure))
            month = add_months(month, 1)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(cases(), max_size=12))
async def test_sql_and_python_agree(db: Database, rows: list[Case]) -> None:
    with pytest.raises(RolledBack):
        async with db.transaction() as write:
            for case in rows:
                order_id = new_id()
                await orders.add(write, orders.to_row(order_id, case.customer_id, case.terms, None, write.now))
                if case.replaced_from is not None:
                    # free of charge, so that only its effect on the replaced one shows
                    renewal = OrderTerms(
                        str(new_id()), "p", "CNY", None, Decimal(0), case.replaced_from, case.replaced_from, None,
                        counts_to_mrr=True, status=case.replaced,
                    )  # fmt: skip
                    await orders.add(write, orders.to_row(new_id(), case.customer_id, renewal, order_id, write.now))
            for customer_id in (None, CUSTOMERS[0]):
                totals = await mrr.totals(write.connection, EVERYTHING, FIRST, LAST, customer_id)
                got = {(row.month, row.currency): (row.mrr, row.orders, row.customers) for row in totals}
                assert got == expected(rows, customer_id)
            for row in await recurring.refresh(write, CUSTOMERS):
                assert by_month(row.ranges) == {
                    key: total for key, (total, _, _) in expected(rows, row.customer_id).items()
                }
            assert not await recurring.refresh(write, CUSTOMERS)  # told once
            raise RolledBack


async def test_the_orders_behind_a_figure_sum_to_it_page_by_page(db: Database) -> None:
    async with db.transaction() as write:
        for n in range(23):
            end = date(2026, 1 + n % 12, 28)
            currency = ("CNY", "CNY", "USD")[n % 3]
            terms = OrderTerms(
                f"page-{n}", "p", currency, Decimal(7001 + n // 4), None, date(2025, 3, 3), date(2025, 3, 3), end,
                counts_to_mrr=True, status=Status.EFFECTIVE,
            )  # fmt: skip
            await orders.add(write, orders.to_row(new_id(), CUSTOMERS[n % 3], terms, None, write.now))
    month = date(2025, 11, 1)
    async with db.read() as read:
        totals = {row.currency: row.mrr for row in await mrr.totals(read, EVERYTHING, month, month, None)}
        seen: list[Any] = []
        after = None
        while page := await mrr.breakdown(read, EVERYTHING, month, None, limit=5, after=after):
            seen += page
            after = (page[-1].currency, page[-1].mrr, page[-1].id)
    assert len({row.id for row in seen}) == len(seen) == 23
    assert [(row.currency, -row.mrr) for row in seen] == sorted((row.currency, -row.mrr) for row in seen)
    for currency in ("CNY", "USD"):
        assert sum(row.mrr for row in seen if row.currency == currency) == totals[currency]
    assert {row.month_of_term for row in seen} == {9}
