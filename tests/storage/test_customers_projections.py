"""What other services tell customers, and the plans of its lists."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from google.type import date_pb2
from sqlalchemy import insert, select, text

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import events_pb2
from kejing.health.v1 import events_pb2 as health
from kejing.health.v1.health_pb2 import HealthStatus
from kejing.identity.v1 import events_pb2 as identity
from kejing.revenue.v1 import events_pb2 as revenue
from services.customers import consumers
from services.customers.storage import customers as reading
from services.customers.storage import imports
from services.customers.storage.customers import SORTS, Wanted, page_query
from services.customers.storage.tables import customers, employees
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.tables import outbox
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOTHING = Event()


@pytest.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now)
        yield db
        await db.close()


async def add(db: Database, count: int = 1, **values: Any) -> UUID:
    """Customers as they are after an import; the id of the last one."""
    rows: list[dict[str, Any]] = []
    for n in range(count):
        row = {"id": new_id(), "number": f"CUS20261122{n:04d}", "number_key": n, "external_id": f"E{n}",
               "source": "test", "name": f"Customer {n:05d}", "kind": "ENTERPRISE", "contract_end_version": 0,
               "version": 1, "created_at": NOW, "updated_at": NOW}  # fmt: skip
        rows.append({**row, **values})
    async with db.transaction(actor="machine:test") as write:
        await write.execute(insert(customers), rows)
    return rows[-1]["id"]  # type: ignore[no-any-return]


async def row_of(db: Database, customer_id: UUID) -> Any:
    async with db.read() as read:
        return await reading.get(read, customer_id)


async def told(db: Database) -> list[events_pb2.CustomerFacts]:
    facts: list[events_pb2.CustomerFacts] = []
    async with db.read() as read:
        for event in (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars():
            payload = events_pb2.CustomersChanged()
            Event.FromString(event).payload.Unpack(payload)
            facts += payload.customers
    return facts


async def contract_ends(db: Database, customer_id: UUID, end: date | None, version: int) -> None:
    told_end = date_pb2.Date(year=end.year, month=end.month, day=end.day) if end else None
    item = revenue.ContractEnd(customer_id=str(customer_id), last_contract_end=told_end, version=version)
    async with db.transaction(actor="machine:test") as write:
        await consumers.contract_ends_changed(write, NOTHING, revenue.ContractEndsChanged(ends=[item]))


async def test_the_end_of_the_last_contract_follows_the_orders_and_is_told(db: Database) -> None:
    customer = await add(db)
    await contract_ends(db, customer, date(2027, 1, 31), 1)

    assert (await row_of(db, customer)).last_contract_end == date(2027, 1, 31)
    [facts] = await told(db)
    assert (facts.last_contract_end.month, facts.version) == (1, 2)


async def test_an_older_end_never_replaces_a_newer_one(db: Database) -> None:
    customer = await add(db)
    await contract_ends(db, customer, date(2028, 1, 31), 3)
    await contract_ends(db, customer, date(2027, 1, 31), 2)
    await contract_ends(db, customer, date(2028, 1, 31), 4)

    row = await row_of(db, customer)
    assert (row.last_contract_end, row.version, row.contract_end_version) == (date(2028, 1, 31), 2, 4)
    assert len(await told(db)) == 1

    await contract_ends(db, customer, None, 5)
    row = await row_of(db, customer)
    assert (row.last_contract_end, row.contract_end_key) == (None, date(9999, 12, 31))


async def test_ends_of_unknown_customers_are_passed_over(db: Database) -> None:
    await contract_ends(db, new_id(), date(2027, 1, 31), 1)
    assert await told(db) == []


async def evaluated(db: Database, customer_id: UUID, week: str, status: str, computed_at: datetime) -> None:
    item = health.CustomerHealth(
        customer_id=str(customer_id), week=week, status=HealthStatus.Value(f"HEALTH_STATUS_{status}")
    )
    item.computed_at.FromDatetime(computed_at)
    async with db.transaction(actor="machine:test") as write:
        await consumers.health_changed(write, NOTHING, health.HealthChanged(items=[item]))


async def test_health_shows_the_newest_week_and_of_it_the_latest_computation(db: Database) -> None:
    customer = await add(db)
    await evaluated(db, customer, "2026-W47", "FAIR", datetime(2026, 11, 23, tzinfo=UTC))
    await evaluated(db, customer, "2026-W46", "AT_RISK", datetime(2026, 11, 24, tzinfo=UTC))
    assert (await row_of(db, customer)).health_status == "FAIR"

    await evaluated(db, customer, "2026-W47", "EXCELLENT", datetime(2026, 11, 25, tzinfo=UTC))
    await evaluated(db, customer, "2026-W47", "FAIR", datetime(2026, 11, 23, tzinfo=UTC))
    row = await row_of(db, customer)
    assert (row.health_status, row.health_week, row.version) == ("EXCELLENT", "2026-W47", 1)
    assert await told(db) == []


async def test_employees_are_kept_by_their_newest_version(db: Database) -> None:
    employee_id = new_id()
    for version, login in ((1, "li"), (3, "li.wei"), (2, "li.w")):
        facts = identity.EmployeeFacts(id=str(employee_id), login=login, active=True, version=version)
        async with db.transaction(actor="machine:test") as write:
            await consumers.employees_changed(write, NOTHING, identity.EmployeesChanged(employees=[facts]))
    async with db.read() as read:
        [row] = (await read.execute(select(employees))).all()
    assert (row.login, row.version) == ("li.wei", 3)


async def test_numbers_of_a_day_go_on_where_they_ended(db: Database) -> None:
    day = date(2026, 11, 22)
    async with db.transaction(actor="machine:test") as write:
        assert await imports.take_numbers(write, day, 3) == 3
        assert await imports.take_numbers(write, day, 10_000) == 10_003
        assert await imports.take_numbers(write, date(2026, 11, 23), 1) == 1


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("sort", SORTS)
async def test_every_sort_walks_an_index_from_where_the_page_begins(db: Database, sort: str, descending: bool) -> None:
    last = await add(db, 3000)
    async with db.read() as read:
        await read.execute(text("analyze customers"))
    wanted = Wanted(churned=False, today=date(2026, 11, 22))
    after = reading.position(await row_of(db, last), sort)
    for start in (None, after):
        query = page_query(wanted, sort, descending, start, 51)
        async with db.snapshot() as read:
            sql = query.compile(dialect=read.dialect, compile_kwargs={"literal_binds": True})
            plan = "\n".join((await read.execute(text(f"explain {str(sql).replace(':', chr(92) + ':')}"))).scalars())
        outer = plan.split("SubPlan")[0]
        assert "Index Scan" in outer, plan
        assert "Sort" not in outer, plan
        assert "Seq Scan on customers" not in plan
