"""Who churns and who returns is noticed once, on the day on which it is so, in business time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import days_service_pb2, events_pb2
from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2 import UpdateCustomerRequest
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.days_service_pb2_grpc import DaysServiceStub
from kejing.revenue.v1 import events_pb2 as revenue
from services.customers import consumers
from services.customers.storage.tables import customers_days
from services.shared.db.tables import outbox
from services.shared.rpc.wire import to_date
from tests.support.customers import bring, by_external_id, csv_of, fresh, plain_mapping, upload
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.timelines import Timeline

ZONE = ZoneInfo("Asia/Shanghai")
KINDS = [pb.TIMELINE_KIND_CHURNED, pb.TIMELINE_KIND_RETURNED]


@pytest.fixture
async def days(services: RunningServices) -> Any:
    return await services.stub(DaysServiceStub, "machine:processes")


@pytest.fixture(autouse=True)
def clock(services: RunningServices) -> Iterator[None]:
    yield
    services.clock.shift = timedelta()


def today() -> date:
    """The real business date: the days of a test follow it."""
    return datetime.now(ZONE).date()


def at(services: RunningServices, day: date, hour: int = 12, minute: int = 0) -> None:
    services.clock.set(datetime.combine(day, time(hour, minute), ZONE))


class Known:
    """A customer of a test, and its timeline of churn."""

    def __init__(self, services: RunningServices, key: str) -> None:
        self._services = services
        self.key = key
        self.id = ""

    async def ends(self, end: date | None) -> "Known":
        """An import says when its last contract ends."""
        row = {"external_id": self.key, "name": self.key, "last_contract_end": end.isoformat() if end else ""}
        assert (await bring(self._services, "ImportCustomers", [row])).rejected == 0
        self.id = (await by_external_id(self._services, self.key)).id
        return self

    async def told(self) -> list[tuple[str, date]]:
        """What was done and on which business date, oldest first."""
        entries = await Timeline(self._services, self.id).entries(kinds=KINDS)
        return [(e.what, e.occurred_at.ToDatetime(UTC).astimezone(ZONE).date()) for e in reversed(entries)]

    async def touches(self) -> list[str]:
        """What events told of it of this kind, oldest first."""
        async with self._services.db("customers").read() as read:
            rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
        found = []
        for row in rows:
            payload = events_pb2.CustomersTouched()
            if Event.FromString(row).payload.Unpack(payload):
                found += [
                    events_pb2.TouchKind.Name(each.kind) for each in payload.touches if self.id in each.customer_ids
                ]
        words = [name.removeprefix("TOUCH_KIND_").lower() for name in found]
        return [word for word in words if word in ("churned", "returned")]


async def new(services: RunningServices, end: date | None) -> Known:
    return await Known(services, fresh("Churn")).ends(end)


async def notice(days: Any, day: date) -> int:
    """All steps of a day; answers how many were noticed."""
    noticed, token = 0, ""
    while True:
        answer = await days.NoticeChurn(days_service_pb2.NoticeChurnRequest(date=to_date(day), page_token=token))
        noticed, token = noticed + answer.noticed, answer.next_page_token
        if not token:
            return noticed


async def test_who_churns_is_noticed_from_the_midnight_after_the_end_and_once(
    services: RunningServices, days: Any
) -> None:
    """The seed's example: a contract that ends on a date; the customer is away from the day after."""
    end = today() + timedelta(days=20)
    known = await new(services, end)
    at(services, end, 23, 59)
    await notice(days, end)
    assert await known.told() == []
    day_after = days_service_pb2.NoticeChurnRequest(date=to_date(end + timedelta(days=1)))
    assert (await refused(days.NoticeChurn(day_after))).reason == "DATE_WRONG"

    at(services, end + timedelta(days=1), 0, 1)
    assert await notice(days, end + timedelta(days=1)) >= 1
    await notice(days, end + timedelta(days=1))
    assert await known.told() == [("churned", end + timedelta(days=1))]
    assert await known.touches() == ["churned"]
    assert (await by_external_id(services, known.key)).churned


async def test_a_missed_day_is_made_up_with_its_own_date(services: RunningServices, days: Any) -> None:
    end = today() + timedelta(days=3)
    known = await new(services, end)
    at(services, end + timedelta(days=9))
    await notice(days, end + timedelta(days=1))
    assert await known.told() == [("churned", end + timedelta(days=1))]


async def test_who_gets_a_new_contract_returns_at_once(services: RunningServices, days: Any) -> None:
    end = today() + timedelta(days=3)
    known = await new(services, end)
    churned = end + timedelta(days=1)
    at(services, churned)
    await notice(days, churned)
    await known.ends(churned)  # it ends today: a customer still
    assert await known.told() == [("churned", churned), ("returned", churned)]
    assert await known.touches() == ["churned", "returned"]
    at(services, churned + timedelta(days=1))
    await notice(days, churned + timedelta(days=1))
    assert (await known.told())[2:] == [("churned", churned + timedelta(days=1))]


async def test_an_end_that_orders_move_counts_as_any_other(services: RunningServices, days: Any) -> None:
    known = await new(services, None)
    end = today() + timedelta(days=2)

    async def orders_say(day: date, version: int) -> None:
        told = revenue.ContractEnd(customer_id=known.id, last_contract_end=to_date(day), version=version)
        handle = consumers.handlers(ZONE)[revenue.ContractEndsChanged]
        async with services.db("customers").transaction(actor="machine:revenue", unscoped="an event") as write:
            await handle(write, Event(), revenue.ContractEndsChanged(ends=[told]))

    await orders_say(end, 1)
    at(services, end + timedelta(days=1))
    await notice(days, end + timedelta(days=1))
    await orders_say(end + timedelta(days=365), 2)
    day = end + timedelta(days=1)
    assert await known.told() == [("churned", day), ("returned", day)]
    await orders_say(end - timedelta(days=1), 3)  # taken back: it has been over for two days
    assert (await known.told())[2:] == [("churned", day)]
    await notice(days, end + timedelta(days=1))
    await notice(days, end)
    assert len(await known.told()) == 3


async def test_an_end_that_a_person_moves_counts_as_any_other(services: RunningServices) -> None:
    key = fresh("Churn")
    row = {"external_id": key, "name": key, "last_contract_end": "2020-01-31"}
    mapping = plain_mapping(row, ours=["last_contract_end"])
    assert (await upload(services, "ImportCustomers", csv_of([row]), mapping, source=fresh("churn"))).rejected == 0
    known, stub = Known(services, key), await services.stub(CustomersServiceStub)
    known.id = (await by_external_id(services, key)).id
    for end in (today(), today() - timedelta(days=1)):
        values = {"last_contract_end": f"{end}"}
        request = UpdateCustomerRequest(request_id=fresh(), customer_id=known.id, values=values)
        await stub.UpdateCustomer(request)
    assert await known.told() == [("returned", today()), ("churned", today())]
    assert await known.touches() == ["returned", "churned"]


async def test_who_returns_before_anybody_looked_has_churned_all_the_same(services: RunningServices, days: Any) -> None:
    end = today() + timedelta(days=3)
    known = await new(services, end)
    at(services, end + timedelta(days=5))
    await known.ends(None)
    told = [("churned", end + timedelta(days=1)), ("returned", end + timedelta(days=5))]
    assert await known.told() == told
    await notice(days, end + timedelta(days=1))
    assert await known.told() == told


async def test_who_came_as_a_churned_customer_did_not_churn_here(services: RunningServices, days: Any) -> None:
    long_ago, yesterday = await new(services, date(2020, 5, 31)), await new(services, today() - timedelta(days=1))
    await notice(days, today())
    await notice(days, date(2020, 6, 1))
    assert await long_ago.told() == await yesterday.told() == []
    await long_ago.ends(today() + timedelta(days=30))
    assert await long_ago.told() == [("returned", today())]


async def test_days_are_done_until_they_are_finished_the_missed_ones_first(
    services: RunningServices, days: Any
) -> None:
    await new(services, None)

    async def undone() -> list[date]:
        answer = await days.ListUndoneDays(days_service_pb2.ListUndoneDaysRequest())
        return [date(day.year, day.month, day.day) for day in answer.days]

    async def finish(day: date) -> None:
        await days.FinishDay(days_service_pb2.FinishDayRequest(date=to_date(day)))

    try:
        while found := await undone():
            assert found == sorted(found)
            for day in found:
                await finish(day)
        at(services, today() + timedelta(days=3))
        missed = [today() + timedelta(days=passed) for passed in (1, 2, 3)]
        assert await undone() == missed
        await finish(missed[1])
        await finish(missed[1])
        assert await undone() == [missed[0], missed[2]]
        ahead = days_service_pb2.FinishDayRequest(date=to_date(missed[2] + timedelta(days=1)))
        assert (await refused(days.FinishDay(ahead))).reason == "DATE_WRONG"
    finally:
        async with services.db("customers").transaction(actor="machine:test") as write:
            await write.execute(delete(customers_days))


async def test_only_the_workflows_turn_the_day(services: RunningServices) -> None:
    stub = await services.stub(DaysServiceStub)
    for call in (
        stub.ListUndoneDays(days_service_pb2.ListUndoneDaysRequest()),
        stub.NoticeChurn(days_service_pb2.NoticeChurnRequest(date=to_date(today()))),
        stub.FinishDay(days_service_pb2.FinishDayRequest(date=to_date(today()))),
    ):
        assert (await refused(call)).code == "PERMISSION_DENIED"
