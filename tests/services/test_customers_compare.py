"""A customer as it was at the end of any two business dates."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from google.type.money_pb2 import Money
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kejing.customers.v1 import customers_service_pb2, tags_service_pb2
from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from kejing.health.v1 import health_pb2
from kejing.revenue.v1 import order_pb2, orders_service_pb2
from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
from services.health.domain.weeks import Week
from services.health.storage import usage
from services.health.storage.usage import DayFigures
from services.shared.ids import new_id
from services.shared.rpc.wire import to_date
from tests.support.customers import bring, by_external_id, colleague, csv_of, fresh, own, plain_mapping, upload
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices

ZONE = ZoneInfo("Asia/Shanghai")
FEW = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(autouse=True)
def clock(services: RunningServices) -> Iterator[None]:
    yield
    services.clock.shift = timedelta()


@pytest.fixture(scope="module")
async def owners(services: RunningServices) -> list[Any]:
    return [await colleague(services) for _ in range(2)]


def today() -> date:
    return datetime.now(ZONE).date()


async def compare(services: RunningServices, customer_id: str, first: date, second: date, **more: Any) -> Any:
    stub = await services.stub(TimelineServiceStub, **more)
    request = pb.CompareDatesRequest(customer_id=customer_id, first=to_date(first), second=to_date(second))
    return await stub.CompareDates(request)


class Company:
    """A customer to which things happen, day by day."""

    def __init__(self, services: RunningServices, owners: list[Any]) -> None:
        self._services = services
        self._owners = owners
        self._source = fresh("source")
        self.key = fresh("Compare")
        self.id = ""

    async def synced(self, **fields: str) -> None:
        row = {"external_id": self.key, "name": self.key, "seats": "5", "region": "华东", **fields}
        mapping = plain_mapping(row, ours=["size"])
        assert (
            await upload(self._services, "ImportCustomers", csv_of([row]), mapping, source=self._source)
        ).rejected == 0
        self.id = (await by_external_id(self._services, self.key)).id

    async def do(self, step: tuple[str, str]) -> None:
        what, value = step
        match what:
            case "region" | "seats" | "last_contract_end" | "industry":
                await self.synced(**{what: value})
            case "size":
                stub = await self._services.stub(CustomersServiceStub)
                await stub.UpdateCustomer(
                    customers_service_pb2.UpdateCustomerRequest(
                        request_id=fresh(), customer_id=self.id, values={what: value}
                    )
                )
            case "tag" | "untag":
                stub = await self._services.stub(TagsServiceStub)
                await stub.TagCustomers(
                    tags_service_pb2.TagCustomersRequest(
                        request_id=fresh(), tag=value, customer_ids=[self.id], remove=what == "untag"
                    )
                )
            case "owner":
                await own(self._services, self.key, self._owners[int(value)].login)

    async def as_answered_now(self) -> tuple[Mapping[str, str], frozenset[str]]:
        """What the service answers of it today."""
        stub = await self._services.stub(CustomersServiceStub)
        got = (await stub.GetCustomer(customers_service_pb2.GetCustomerRequest(customer_id=self.id))).customer
        end = got.last_contract_end
        shown = {
            "external_id": got.external_id, "name": got.name, "region": got.region, "industry": got.industry,
            "size": got.size, "kind": "ENTERPRISE", "seats": str(got.seats) if got.HasField("seats") else "",
            "last_contract_end": f"{date(end.year, end.month, end.day)}" if got.HasField("last_contract_end") else "",
            "owner.CSM": got.owners[0].employee_id if got.owners else "",
        }  # fmt: skip
        return {name: value for name, value in shown.items() if value}, frozenset(got.tags)


VALUES = st.sampled_from(["", "a", "b"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["industry", "size"]), VALUES),
    st.tuples(st.just("region"), st.sampled_from(["华东", "华南"])),
    st.tuples(st.just("seats"), st.sampled_from(["", "7", "8"])),
    st.tuples(st.just("last_contract_end"), st.sampled_from(["", "2027-01-31", "2020-01-31"])),
    st.tuples(st.sampled_from(["tag", "untag"]), st.sampled_from(["vip", "pilot"])),
    st.tuples(st.just("owner"), st.sampled_from(["0", "1"])),
)


@FEW
@given(st.lists(st.lists(STEPS, max_size=3), min_size=2, max_size=4))
async def test_as_of_any_date_is_what_was_answered_at_that_date(
    services: RunningServices, owners: list[Any], by_day: list[list[tuple[str, str]]]
) -> None:
    company, answered = Company(services, owners), []
    days = [today() + timedelta(days=passed) for passed in range(len(by_day))]
    for day, steps in zip(days, by_day, strict=True):
        services.clock.set(datetime.combine(day, time(12), ZONE))
        if not company.id:
            await company.synced()
        for step in steps:
            await company.do(step)
        answered.append(await company.as_answered_now())
    for first, second in zip(range(len(days)), range(len(days))[::-1], strict=True):
        first, second = sorted((first, second))
        found = await compare(services, company.id, days[first], days[second])
        for place, seen in ((first, found.first), (second, found.second)):
            assert (dict(seen.fields), frozenset(seen.tags)) == answered[place], (place, by_day)
        changed = {each.field for each in found.differences if not each.field.startswith(("tag.", "health"))}
        (before, _), (after, _) = answered[first], answered[second]
        assert changed == {name for name in {*before, *after} if before.get(name) != after.get(name)}


async def test_health_usage_and_revenue_are_those_of_the_dates(services: RunningServices) -> None:
    await services.start("health", "revenue")
    key, last = fresh("Compare"), Week.last_ended(services.clock(), ZONE)
    start = last.monday - timedelta(days=60)
    services.clock.set(datetime.combine(start, time(12), ZONE))
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    services.clock.shift = timedelta()
    customer_id = (await by_external_id(services, key)).id
    orders = await services.stub(OrdersServiceStub)
    sold = orders_service_pb2.CreateOrderRequest(
        request_id=fresh(), number=fresh("HT"), customer_id=customer_id, product="Seats",
        monthly_price=Money(currency_code="CNY", units=800), signed_date=to_date(today()), counts_to_mrr=True,
        term_start=to_date(today().replace(day=1)), status=order_pb2.ORDER_STATUS_EFFECTIVE,
    )  # fmt: skip
    await orders.CreateOrder(sold)
    figures = {"active_users": 3, "events": 10, "urgent_tickets_open": 2}
    async with services.db("health").transaction(actor="machine:test", unscoped="a test") as write:
        days = [today() - timedelta(days=back) for back in range(9)]
        rows = [DayFigures(str(new_id()), new_id().bytes, UUID(customer_id), day, figures) for day in days]
        await usage.take(write, "test", rows)

    async def compared() -> Any:
        found = await compare(services, customer_id, start, today())
        assert not found.missing
        return found

    found = await eventually(compared)
    assert not found.first.usage
    assert dict(found.second.usage) == {"events": "70", "urgent_tickets_open": "2", "active_days": "7"}
    assert not found.first.mrr
    assert [(each.currency_code, each.units) for each in found.second.mrr] == [("CNY", 800)]
    assert found.second.health_status == health_pb2.HEALTH_STATUS_NOT_COMPUTED
    differences = {each.field: (each.before, each.after) for each in found.differences}
    assert differences["mrr.CNY"] == ("", "800")
    assert differences["usage.events"] == ("", "70")


async def test_dates_before_the_customer_or_after_today_are_refused(services: RunningServices) -> None:
    key = fresh("Compare")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    customer_id = (await by_external_id(services, key)).id
    yesterday, tomorrow = today() - timedelta(days=1), today() + timedelta(days=1)
    for first, second, field in (
        (yesterday, today(), "first"),
        (today(), tomorrow, "second"),
        (tomorrow, today(), "first"),
    ):
        refusal = await refused(compare(services, customer_id, first, second))
        assert (refusal.reason, refusal.fields) == ("DATE_WRONG", (field,))
    somebody = await colleague(services)
    hidden = await refused(compare(services, customer_id, today(), today(), caller=f"employee:{somebody.login}"))
    assert hidden.reason == "CUSTOMER_NOT_FOUND"


async def test_a_service_that_is_down_is_named_and_no_change_is_made_of_it(services: RunningServices) -> None:
    await services.start("health", "revenue")
    key = fresh("Compare")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    customer_id = (await by_external_id(services, key)).id
    await services.stop("revenue")
    try:
        found = await compare(services, customer_id, today(), today())
        assert list(found.missing) == ["revenue"]
        assert not found.differences
        assert found.first.fields["name"] == key
    finally:
        await services.start("revenue")


async def test_what_the_caller_may_not_see_is_left_out(services: RunningServices) -> None:
    key, agent = fresh("Compare"), await colleague(services, "SERVICE_AGENT")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    await own(services, key, agent.login)
    customer_id = (await by_external_id(services, key)).id
    await services.start("health", "revenue")

    async def answered() -> Any:
        return await compare(services, customer_id, today(), today(), caller=f"employee:{agent.login}")

    found = await eventually(answered)
    assert not found.missing
    assert found.second.health_status == health_pb2.HEALTH_STATUS_UNSPECIFIED
    assert not found.second.mrr
