"""What other services tell customers."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from google.type import date_pb2
from sqlalchemy import insert, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import events_pb2
from kejing.health.v1 import events_pb2 as health
from kejing.health.v1.health_pb2 import HealthStatus
from kejing.identity.v1 import events_pb2 as identity
from kejing.revenue.v1 import events_pb2 as revenue
from services.customers import consumers
from services.customers.storage import applying, lists
from services.customers.storage import customers as reading
from services.customers.storage.lists import Wanted
from services.customers.storage.ownership import refresh_lists
from services.customers.storage.tables import customers, metadata
from services.shared.access import EVERYTHING
from services.shared.access.projection import DIRECTORY_HANDLERS, both
from services.shared.access.tables import customer_access
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.tables import outbox
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOTHING = Event()
DEPARTMENT = new_id()


@pytest.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
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
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(insert(customers), rows)
    return rows[-1]["id"]  # type: ignore[no-any-return]


async def add_two(db: Database) -> list[UUID]:
    await add(db, 2)
    async with db.read(unscoped="a test") as read:
        return list((await read.execute(select(customers.c.id).order_by(customers.c.id))).scalars())


async def row_of(db: Database, customer_id: UUID) -> Any:
    async with db.read() as read:
        return await reading.get(read, EVERYTHING, customer_id)


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
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        handle = consumers.handlers(ZoneInfo("Asia/Shanghai"))[revenue.ContractEndsChanged]
        await handle(write, NOTHING, revenue.ContractEndsChanged(ends=[item]))


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
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
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


async def left(db: Database, *told: identity.EmployeeFacts) -> None:
    """The event, as the kit and customers take it in one transaction."""
    mine = consumers.handlers(ZoneInfo("Asia/Shanghai"))[identity.EmployeesChanged]
    handle = both(DIRECTORY_HANDLERS[identity.EmployeesChanged], mine)
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await handle(write, NOTHING, identity.EmployeesChanged(employees=told))


def facts_of(employee_id: UUID, version: int = 1, successor: UUID | None = None) -> identity.EmployeeFacts:
    return identity.EmployeeFacts(
        id=str(employee_id), login=str(employee_id), department_id=str(DEPARTMENT), role_key="CSM", version=version,
        active=successor is None, successor_id=str(successor) if successor else "",
    )  # fmt: skip


async def owned(db: Database, employee_id: UUID, customer_ids: Sequence[UUID], role: str = "CSM") -> None:
    rows = [{"customer_id": id_, "role": role, "employee_id": employee_id, "valid_from": date.min,
             "valid_to": date.max} for id_ in customer_ids]  # fmt: skip
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(insert(customer_access), rows)
        await refresh_lists(write, customer_ids)


async def owners_of(db: Database, customer_id: UUID) -> dict[str, UUID]:
    stored = [owner.split() for owner in (await row_of(db, customer_id)).owners]
    return {role: UUID(employee) for role, employee, *_ in stored}


async def test_the_customers_of_who_left_go_to_his_successor_and_it_is_told_once(db: Database) -> None:
    [one, two], gone, successor = await add_two(db), new_id(), new_id()
    await owned(db, gone, [one, two])
    await owned(db, successor, [two], "ANALYST")
    await left(db, facts_of(gone), facts_of(successor))
    assert await told(db) == []

    await left(db, facts_of(gone, 2, successor))
    assert await owners_of(db, one) == {"CSM": successor}
    assert await owners_of(db, two) == {"CSM": successor, "ANALYST": successor}
    assert {(facts.id, facts.version) for facts in await told(db)} == {(str(one), 2), (str(two), 2)}

    await left(db, facts_of(gone, 2, successor))
    assert len(await told(db)) == 2


async def test_who_came_back_keeps_what_an_old_event_would_take_from_him(db: Database) -> None:
    [one, _], back, successor = await add_two(db), new_id(), new_id()
    await owned(db, back, [one])
    await left(db, facts_of(back, 3))
    await left(db, facts_of(back, 2, successor))
    assert await owners_of(db, one) == {"CSM": back}


async def test_a_successor_who_has_left_himself_passes_it_on(db: Database) -> None:
    [one, _], first, second, third = await add_two(db), new_id(), new_id(), new_id()
    await owned(db, first, [one])
    await left(db, facts_of(second, 2, third), facts_of(third))
    await left(db, facts_of(first, 2, second))
    assert await owners_of(db, one) == {"CSM": third}


async def test_many_customers_change_hands_in_events_of_at_most_500(db: Database) -> None:
    gone, successor = new_id(), new_id()
    await add(db, 1100)
    async with db.read(unscoped="a test") as read:
        ids = (await read.execute(select(customers.c.id))).scalars().all()
    await owned(db, gone, ids)
    await left(db, facts_of(gone, 2, successor), facts_of(successor))
    async with db.read() as read:
        events = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
    changed, touched = [], []
    for event in events:
        payload, touches = events_pb2.CustomersChanged(), events_pb2.CustomersTouched()
        if Event.FromString(event).payload.Unpack(payload):
            changed.append(len(payload.customers))
        elif Event.FromString(event).payload.Unpack(touches):
            touched.append(sum(len(touch.customer_ids) for touch in touches.touches))
    assert changed == touched == [500, 500, 100]
    assert await lists.count(db, Wanted.within(EVERYTHING, [successor], date(2026, 11, 22))) == 1100


async def test_numbers_of_a_day_go_on_where_they_ended(db: Database) -> None:
    day = date(2026, 11, 22)
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        assert await applying.take_numbers(write, day, 3) == 3
        assert await applying.take_numbers(write, day, 10_000) == 10_003
        assert await applying.take_numbers(write, date(2026, 11, 23), 1) == 1
