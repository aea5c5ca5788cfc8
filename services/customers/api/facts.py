"""What other services tell of customers, which conditions ask of and overviews show. Who tells it owns it: it changes
no customer's version."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from kejing.common.v1.events_pb2 import Event
from kejing.health.v1 import events_pb2 as health
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.tasks.v1 import events_pb2 as tasks
from services.customers.api.changes import follow_facts
from services.customers.storage import facts
from services.customers.storage.facts import OPEN_MONTH, Metric, Range
from services.customers.storage.imports import one_at_a_time
from services.shared.db import Write

NANOS = Decimal(10) ** 9


async def follow_up_recorded(write: Write, _event: Event, payload: tasks.FollowUpRecorded) -> None:
    await one_at_a_time(write)
    customer_id, occurred_at = UUID(payload.customer_id), payload.occurred_at.ToDatetime(tzinfo=UTC)
    if await facts.touch(write, customer_id, occurred_at):
        await follow_facts(write, [customer_id])


async def recurring_changed(write: Write, _event: Event, payload: revenue.RecurringChanged) -> None:
    await one_at_a_time(write)
    versions = {UUID(told.customer_id): told.version for told in payload.customers}
    ranges = [found for told in payload.customers for found in _ranges(told)]
    await follow_facts(write, await facts.set_recurring(write, versions, ranges))


def _ranges(told: revenue.CustomerRecurring) -> Iterator[Range]:
    for each in told.ranges:
        mrr = each.mrr.units + each.mrr.nanos / NANOS
        to_month = date.fromisoformat(f"{each.to_month}-01") if each.to_month else OPEN_MONTH
        from_month = date.fromisoformat(f"{each.from_month}-01")
        yield Range(UUID(told.customer_id), each.mrr.currency_code, from_month, to_month, mrr)


async def inputs_changed(write: Write, _event: Event, payload: health.InputsChanged) -> None:
    await one_at_a_time(write)
    computed_at: datetime = payload.computed_at.ToDatetime(tzinfo=UTC)
    metrics = [
        Metric(UUID(item.customer_id), told.metric, Decimal(told.value.value) if told.HasField("value") else None)
        for item in payload.items
        for told in item.inputs
    ]
    await follow_facts(write, await facts.set_metrics(write, metrics, payload.week, computed_at))
