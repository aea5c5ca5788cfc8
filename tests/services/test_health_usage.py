"""Usage by gRPC: taken in once, corrected, refused row by row, parked until the customer arrives."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from google.type.date_pb2 import Date
from sqlalchemy import text

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.health.v1 import metrics_service_pb2, metrics_service_pb2_grpc, usage_pb2
from services.health import consumers
from services.shared.clock import business_date, utc_now
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices

TODAY = business_date(utc_now(), ZoneInfo("Asia/Shanghai"))


def day(back: int) -> Date:
    found = TODAY - timedelta(days=back)
    return Date(year=found.year, month=found.month, day=found.day)


def row(customer: str, back: int, source_id: str = "", **figures: int) -> usage_pb2.UsageRow:
    whose = {"customer_id": customer} if _is_id(customer) else {"external_id": customer}
    return usage_pb2.UsageRow(
        source_id=source_id or str(new_id()), day=day(back), figures=usage_pb2.UsageFigures(**figures), **whose
    )


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class Metrics:
    def __init__(self, services: RunningServices, stub: Any, token: str) -> None:
        self._services = services
        self.stub = stub
        self._token = token

    async def send(self, *batches: Iterable[usage_pb2.UsageRow]) -> metrics_service_pb2.IngestUsageResponse:
        requests = [metrics_service_pb2.IngestUsageRequest(source="product", rows=rows) for rows in batches]

        async def stream() -> AsyncIterator[metrics_service_pb2.IngestUsageRequest]:
            for request in requests:
                yield request

        answer = await self.stub.IngestUsage(stream(), metadata=(("authorization", f"Bearer {self._token}"),))
        assert isinstance(answer, metrics_service_pb2.IngestUsageResponse)
        return answer

    async def counts(self, *batches: Iterable[usage_pb2.UsageRow]) -> tuple[int, int, int, int]:
        """(written, unchanged, parked, rejected)"""
        answer = await self.send(*batches)
        return answer.written, answer.unchanged, answer.parked, answer.rejected

    async def figures(self, customer: str) -> dict[int, usage_pb2.UsageFigures]:
        """Figures by days back."""
        days = (await self.stub.GetUsage(metrics_service_pb2.GetUsageRequest(customer_id=customer))).days
        return {(TODAY - date(one.day.year, one.day.month, one.day.day)).days: one.figures for one in days}

    async def arrive(self, *facts: CustomerFacts) -> None:
        """The event of the customers service takes effect."""
        async with self._services.db("health").transaction(actor="machine:test", unscoped="told by a test") as write:
            await consumers.customers_changed(write, Event(), CustomersChanged(customers=facts))

    async def customer(self) -> str:
        facts = customer_facts()
        await self.arrive(facts)
        return facts.id


def customer_facts(**changes: Any) -> CustomerFacts:
    facts = CustomerFacts(id=str(new_id()), external_id=f"E-{new_id()}", seats=10, version=1)
    facts.created_at.FromDatetime(utc_now().astimezone(UTC))
    facts.MergeFrom(CustomerFacts(**changes))
    return facts


@pytest.fixture
async def metrics(services: RunningServices) -> Metrics:
    await services.start("customers")  # which is asked for who isn't known
    stub = await services.stub(metrics_service_pb2_grpc.MetricsServiceStub)
    return Metrics(services, stub, await services.sign_in("employee:admin"))


async def test_rows_take_effect_once_and_corrections_stay(metrics: Metrics) -> None:
    customer = await metrics.customer()
    first = row(customer, 1, active_users=3, errors=0)
    assert await metrics.counts([first, row(customer, 2, active_users=1)]) == (2, 0, 0, 0)
    assert await metrics.counts([first]) == (0, 1, 0, 0)
    correction = row(customer, 1, active_users=4)
    assert await metrics.counts([correction]) == (1, 0, 0, 0)
    assert await metrics.counts([first]) == (0, 1, 0, 0)  # sent again after the correction: known
    assert await metrics.counts([row(customer, 1, active_users=4)]) == (0, 1, 0, 0)
    found = (await metrics.figures(customer))[1]
    assert (found.active_users, found.errors, found.HasField("errors"), found.HasField("events")) == (4, 0, True, False)
    first.figures.active_users = 7  # the source corrects its own row
    assert await metrics.counts([first]) == (1, 0, 0, 0)


async def test_sources_of_different_figures_meet_in_one_day(metrics: Metrics) -> None:
    customer = await metrics.customer()
    twice = [row(customer, 3, "s-1", active_users=1), row(customer, 3, "s-1", active_users=2)]
    assert await metrics.counts([*twice, row(customer, 3, tickets_opened=5)]) == (2, 0, 0, 0)
    found = (await metrics.figures(customer))[3]
    assert (found.active_users, found.tickets_opened) == (2, 5)


async def test_bad_rows_are_refused_one_by_one(metrics: Metrics) -> None:
    customer = await metrics.customer()
    never = row(customer, 1, "never", events=1)
    never.day.CopyFrom(Date(year=2026, month=2, day=30))
    answer = await metrics.send(
        [row(customer, 35, events=1), row(customer, 36, "late", events=1), row(customer, -1, "future", events=1)],
        [never, row(customer, 0, events=2), row(customer, 1, "empty")],
    )
    assert (answer.written, answer.rejected) == (2, 4)
    assert {(one.source_id, one.field) for one in answer.rejections} == {
        ("late", "day"), ("future", "day"), ("never", "day"), ("empty", "figures"),
    }  # fmt: skip
    future = next(one for one in answer.rejections if one.source_id == "future")
    assert f"it must lie from {TODAY - timedelta(days=35)} to {TODAY}" in future.description


async def test_a_batch_that_breaks_the_contract_is_refused_and_names_the_field(metrics: Metrics) -> None:
    customer = await metrics.customer()
    answer = await refused(metrics.send([row(customer, 1, events=1), row(customer, 1, events=-1)]))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("rows[1].figures.events",))
    assert await metrics.figures(customer) == {}


async def test_rows_of_unknown_customers_wait_for_them(metrics: Metrics) -> None:
    by_id, by_key = customer_facts(), customer_facts()
    rows = [row(by_id.id, 1, active_users=1), row(by_key.external_id, 1, active_users=2)]
    assert await metrics.counts(rows) == (0, 0, 2, 0)
    assert await metrics.counts(rows) == (0, 0, 2, 0)
    asked = metrics_service_pb2.GetUsageRequest(customer_id=by_id.id)
    assert (await refused(metrics.stub.GetUsage(asked))).reason == "CUSTOMER_NOT_FOUND"
    await metrics.arrive(by_id, by_key)
    assert (await metrics.figures(by_id.id))[1].active_users == 1
    assert (await metrics.figures(by_key.id))[1].active_users == 2
    assert await metrics.counts(rows) == (0, 2, 0, 0)


async def test_an_id_in_capitals_is_the_customers(metrics: Metrics) -> None:
    customer = await metrics.customer()
    assert await metrics.counts([row(customer.upper(), 1, active_users=4)]) == (1, 0, 0, 0)
    coming = customer_facts()
    assert await metrics.counts([row(coming.id.upper(), 1, active_users=5)]) == (0, 0, 1, 0)
    await metrics.arrive(coming)
    assert (await metrics.figures(coming.id))[1].active_users == 5


async def test_a_row_sent_while_its_customer_arrives_does_not_stay_waiting(
    metrics: Metrics, services: RunningServices
) -> None:
    facts = customer_facts()
    health = services.db("health")
    async with health.transaction(actor="machine:test", unscoped="told by a test") as arriving:
        await consumers.customers_changed(arriving, Event(), CustomersChanged(customers=[facts]))
        sending = asyncio.create_task(metrics.counts([row(facts.external_id, 1, active_users=6)]))

        async def answered_or_held() -> bool:
            held = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            async with health.read() as read:
                return sending.done() or bool((await read.execute(text(held))).scalar_one())

        await eventually(answered_or_held)
    await sending
    assert (await metrics.figures(facts.id))[1].active_users == 6


async def test_of_rows_that_wait_the_one_corrected_last_counts(metrics: Metrics) -> None:
    facts = customer_facts()
    for source_id, users in (("one", 1), ("two", 2), ("one", 3), ("two", 2)):
        await metrics.counts([row(facts.external_id, 1, f"{facts.id}-{source_id}", active_users=users)])
    await metrics.arrive(facts)
    assert (await metrics.figures(facts.id))[1].active_users == 3


async def test_an_older_event_does_not_change_a_customer_back(metrics: Metrics) -> None:
    facts = customer_facts(version=3)
    await metrics.arrive(facts)
    await metrics.arrive(customer_facts(id=facts.id, external_id="old", version=2))
    assert await metrics.counts([row(facts.external_id, 1, events=1)]) == (1, 0, 0, 0)


async def test_a_range_of_days_must_be_one(metrics: Metrics) -> None:
    customer = await metrics.customer()
    asked = metrics_service_pb2.GetUsageRequest(customer_id=customer, first_day=day(0), last_day=day(1))
    assert (await refused(metrics.stub.GetUsage(asked))).fields == ("last_day",)


@pytest.mark.parametrize("year", [1, 9999])
async def test_the_ends_of_the_calendar_are_days_like_others(metrics: Metrics, year: int) -> None:
    customer = await metrics.customer()
    asked = metrics_service_pb2.GetUsageRequest(customer_id=customer, last_day=Date(year=year, month=1, day=1))
    assert not (await metrics.stub.GetUsage(asked)).days
    asked.first_day.CopyFrom(asked.last_day)
    assert not (await metrics.stub.GetUsage(asked)).days


async def test_the_catalogue_tells_unit_window_and_range(metrics: Metrics) -> None:
    catalogue = (await metrics.stub.ListMetrics(metrics_service_pb2.ListMetricsRequest())).metrics
    ratio = next(metric for metric in catalogue if metric.key == "active_ratio_14d")
    assert (ratio.unit, ratio.window_days, ratio.whole, ratio.maximum.value) == ("ratio", 14, False, "1")
    tickets = next(metric for metric in catalogue if metric.key == "tickets_14d")
    assert (tickets.whole, tickets.minimum.value, tickets.HasField("maximum")) == (True, "0", False)
