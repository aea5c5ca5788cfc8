"""What other services tell of customers, kept for conditions and overviews: the newest, however it comes."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money
from sqlalchemy import insert, select

from kejing.common.v1.events_pb2 import Event
from kejing.health.v1 import events_pb2 as health
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.tasks.v1 import events_pb2 as tasks
from services.customers.api import facts
from services.customers.storage.fact_tables import customer_metrics, customer_recurring
from services.customers.storage.tables import customers, metadata
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(days=3), NOW + timedelta(days=3)


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        yield db
        await db.close()


async def add(db: Database) -> UUID:
    id_ = new_id()
    row = {"id": id_, "number": f"CUS-{id_}", "number_key": 1, "external_id": str(id_), "source": "test",
           "name": "Customer", "kind": "ENTERPRISE", "contract_end_version": 0, "version": 1, "created_at": NOW,
           "updated_at": NOW}  # fmt: skip
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(insert(customers).values(row))
    return id_


async def tell(db: Database, handler: Any, payload: Any) -> None:
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await handler(write, Event(), payload)


async def row_of(db: Database, customer_id: UUID) -> Any:
    async with db.read(unscoped="a test") as read:
        return (await read.execute(select(customers).where(customers.c.id == customer_id))).one()


async def touch(db: Database, customer_id: UUID, at: datetime) -> None:
    told = tasks.FollowUpRecorded(customer_id=str(customer_id))
    told.occurred_at.FromDatetime(at)
    await tell(db, facts.follow_up_recorded, told)


async def recur(db: Database, customer_id: UUID, version: int, *ranges: tuple[str, str, int]) -> None:
    """`ranges`: first month, last month, CNY and a half."""
    told = revenue.CustomerRecurring(customer_id=str(customer_id), version=version)
    for first, last, units in ranges:
        mrr = Money(currency_code="CNY", units=units, nanos=500_000_000)
        told.ranges.add(mrr=mrr, from_month=first, to_month=last)
    await tell(db, facts.recurring_changed, revenue.RecurringChanged(customers=[told]))


async def recurring(db: Database, customer_id: UUID) -> list[tuple[date, date, Decimal]]:
    of = customer_recurring.c
    query = select(of.from_month, of.to_month, of.mrr).where(of.customer_id == customer_id).order_by(of.from_month)
    async with db.read(unscoped="a test") as read:
        return [tuple(row) for row in await read.execute(query)]


async def measure(db: Database, customer_id: UUID, week: str, at: datetime, **values: str | None) -> None:
    told = health.InputsChanged(week=week)
    told.computed_at.FromDatetime(at)
    item = told.items.add(customer_id=str(customer_id))
    for metric, value in values.items():
        item.inputs.add(metric=metric, value=None if value is None else DecimalMessage(value=value))
    await tell(db, facts.inputs_changed, told)


async def metrics(db: Database, customer_id: UUID) -> dict[str, Decimal | None]:
    of = customer_metrics.c
    async with db.read(unscoped="a test") as read:
        rows = await read.execute(select(of.metric, of.value).where(of.customer_id == customer_id))
        return {row.metric: row.value for row in rows}


async def test_the_last_touch_is_the_latest_follow_up_in_whatever_order_they_come(db: Database) -> None:
    customer = await add(db)
    for at in (NOW, EARLIER, LATER, NOW):
        await touch(db, customer, at)
    row = await row_of(db, customer)
    assert row.last_touch_at == LATER
    assert row.version == 1  # nobody is told


async def test_recurring_revenue_is_replaced_as_a_whole(db: Database) -> None:
    customer = await add(db)
    await recur(db, customer, 1, ("2026-01", "2026-03", 10), ("2026-04", "", 12))
    assert await recurring(db, customer) == [
        (date(2026, 1, 1), date(2026, 3, 1), Decimal("10.5")),
        (date(2026, 4, 1), date(9999, 12, 1), Decimal("12.5")),
    ]
    await recur(db, customer, 2, ("2026-02", "2026-02", 7))
    assert await recurring(db, customer) == [(date(2026, 2, 1), date(2026, 2, 1), Decimal("7.5"))]
    await recur(db, customer, 3)
    assert await recurring(db, customer) == []


async def test_older_recurring_revenue_never_replaces_newer(db: Database) -> None:
    customer = await add(db)
    await recur(db, customer, 2, ("2026-02", "2026-02", 7))
    for version in (1, 2):
        await recur(db, customer, version, ("2025-01", "", 1))
    assert await recurring(db, customer) == [(date(2026, 2, 1), date(2026, 2, 1), Decimal("7.5"))]


async def test_metrics_are_those_of_the_newest_week_and_of_its_latest_computation(db: Database) -> None:
    customer = await add(db)
    await measure(db, customer, "2026-W46", NOW, tickets_14d="3", active_days_14d=None)
    assert await metrics(db, customer) == {"tickets_14d": 3, "active_days_14d": None}
    await measure(db, customer, "2026-W45", LATER, tickets_14d="9", active_days_14d="9")
    await measure(db, customer, "2026-W46", EARLIER, tickets_14d="8", active_days_14d="8")
    assert await metrics(db, customer) == {"tickets_14d": 3, "active_days_14d": None}
    await measure(db, customer, "2026-W46", LATER, tickets_14d="4", active_days_14d="14")
    await measure(db, customer, "2026-W47", EARLIER, tickets_14d="0.5", active_days_14d=None)
    assert await metrics(db, customer) == {"tickets_14d": Decimal("0.5"), "active_days_14d": None}


async def test_what_is_told_of_an_unknown_customer_is_passed_over(db: Database) -> None:
    nobody = new_id()
    await touch(db, nobody, NOW)
    await recur(db, nobody, 1, ("2026-01", "", 1))
    await measure(db, nobody, "2026-W46", NOW, tickets_14d="3")
    assert (await recurring(db, nobody), await metrics(db, nobody)) == ([], {})
