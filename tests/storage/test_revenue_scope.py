"""Whatever the owners: lists, gets and sums of revenue show exactly the orders of customers in scope."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from google.type.date_pb2 import Date
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts
from services.revenue.domain.order import OrderTerms, Status
from services.revenue.storage import customers, mrr, orders
from services.revenue.storage.tables import contract_ends, metadata
from services.revenue.storage.tables import orders as orders_table
from services.shared.access import EVERYTHING, Scope
from services.shared.access.projection import put_owners
from services.shared.access.scope import UnscopedStatement
from services.shared.clock import utc_now
from services.shared.db import Database, Write
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

TODAY = date(2026, 11, 22)
CUSTOMERS = [new_id() for _ in range(6)]
EMPLOYEES = [new_id() for _ in range(7)]
FIRST, LAST = date(2026, 1, 1), date(2027, 3, 1)


class RolledBack(Exception):
    pass


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("revenue") as url:
        database = Database(url, utc_now, metadata)
        yield database
        await database.close()


@dataclass(frozen=True)
class Ownership:
    """An employee owns a customer from one day to another; None: no bound."""

    customer_id: UUID
    employee_id: UUID
    role: int
    valid_from: date | None
    valid_to: date | None

    def holds(self) -> bool:
        return (self.valid_from or date.min) <= TODAY <= (self.valid_to or date.max)


DAYS = st.none() | st.integers(-2, 2).map(lambda n: TODAY + timedelta(days=n))
OWNERSHIPS = st.builds(
    Ownership, st.sampled_from(CUSTOMERS), st.sampled_from(EMPLOYEES), st.sampled_from([1, 2, 3]), DAYS, DAYS
)
PRICES = st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(["CNY", "USD"]), st.integers(0, 9999), st.integers(1, 9))
"""A customer's order: currency, amount in minor units, whole months of its term."""


async def own(write: Write, ownerships: Collection[Ownership]) -> None:
    told = [
        CustomerFacts(
            id=str(customer_id), version=1,
            owners=[
                customer_pb2.Owner(role=each.role, employee_id=str(each.employee_id),  # type: ignore[arg-type]
                                   valid_from=day(each.valid_from), valid_to=day(each.valid_to))
                for each in ownerships if each.customer_id == customer_id
            ],
        )
        for customer_id in CUSTOMERS
    ]  # fmt: skip
    await put_owners(write, told)


def day(value: date | None) -> Date | None:
    return Date(year=value.year, month=value.month, day=value.day) if value else None


async def enter(write: Write, customer_id: UUID, currency: str, minor: int, months: int) -> UUID:
    start = date(2026, 2, 1)
    end = date(2026, 2 + months, 1) - timedelta(days=1)
    terms = OrderTerms(str(new_id()), "p", currency, Decimal(minor) / 100, None, start, start, end,
                       counts_to_mrr=True, status=Status.EFFECTIVE)  # fmt: skip
    order_id = new_id()
    await orders.add(write, orders.to_row(order_id, customer_id, terms, None, write.now))
    return order_id


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ownerships=st.lists(OWNERSHIPS, max_size=14, unique_by=lambda each: (each.customer_id, each.role)),
    prices=st.lists(PRICES, max_size=14),
    who=st.lists(st.sampled_from(EMPLOYEES), max_size=7, unique=True),
)
async def test_every_read_shows_exactly_the_customers_of_the_scopes_employees(
    db: Database, ownerships: list[Ownership], prices: list[tuple[UUID, str, int, int]], who: list[UUID]
) -> None:
    scope = Scope(False, tuple(who), TODAY)
    seen = {each.customer_id for each in ownerships if each.holds() and each.employee_id in who}
    with pytest.raises(RolledBack):
        async with db.transaction() as write:
            await own(write, ownerships)
            made = {await enter(write, *price): price[0] for price in prices}
            read = write.connection
            expected = {order_id for order_id, customer_id in made.items() if customer_id in seen}
            assert await listed(read, scope) == expected
            for order_id in made:
                assert (await orders.get(read, scope, order_id) is not None) == (order_id in expected)
                assert (await orders.locked(write, scope, order_id) is not None) == (order_id in expected)
            for customer_id in CUSTOMERS:
                assert await customers.is_in_scope(read, scope, customer_id) == (customer_id in seen)
                one = await sums(read, scope, customer_id)
                assert one == (await sums(read, EVERYTHING, customer_id) if customer_id in seen else {})
            assert await sums(read, scope) == added([await sums(read, EVERYTHING, c) for c in seen])
            assert await behind(read, scope, date(2026, 3, 1)) == {
                currency: total for (month, currency), (total, _, _) in (await sums(read, scope)).items()
                if month == date(2026, 3, 1)
            }  # fmt: skip
            raise RolledBack


async def listed(read: AsyncConnection, scope: Scope) -> set[UUID]:
    """All pages of all orders; no order twice."""
    none: Any = dict.fromkeys(["customer_id", "active_on", "ends_from", "ends_to"])
    found: list[UUID] = []
    after = None
    while page := await orders.page(read, scope, limit=3, after=after, status="", **none):
        found += [row.id for row in page]
        after = (page[-1].term_start, page[-1].id)
    assert len(found) == len(set(found))
    return set(found)


Sums = dict[tuple[date, str], tuple[Decimal, int, int]]


async def sums(read: AsyncConnection, scope: Scope, customer_id: UUID | None = None) -> Sums:
    """(month, currency) → MRR, orders, customers."""
    rows = await mrr.totals(read, scope, FIRST, LAST, customer_id)
    return {(row.month, row.currency): (row.mrr, row.orders, row.customers) for row in rows}


def added(each: list[Sums]) -> Sums:
    total: dict[Any, list[Any]] = defaultdict(lambda: [Decimal(0), 0, 0])
    for one in each:
        for key, figures in one.items():
            total[key] = [a + b for a, b in zip(total[key], figures, strict=True)]
    return {key: (figures[0], figures[1], figures[2]) for key, figures in total.items()}


async def behind(read: AsyncConnection, scope: Scope, month: date) -> dict[str, Decimal]:
    """The sum of the orders behind a month's figure, by currency."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    after = None
    while page := await mrr.breakdown(read, scope, month, None, limit=4, after=after):
        for row in page:
            found[row.currency] += row.mrr
        after = (page[-1].currency, page[-1].mrr, page[-1].id)
    return dict(found)


@pytest.mark.parametrize(
    "statement", [select(orders_table.c.id), select(contract_ends.c.version), text("select 1 from order_terms")]
)
async def test_orders_are_not_read_without_a_scope(db: Database, statement: Any) -> None:
    async with db.read() as read:
        with pytest.raises(UnscopedStatement):
            await read.execute(statement)
