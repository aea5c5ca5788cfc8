"""Events of other services → entries of customers' timelines.

They come by a consumer of their own. What comes again is known by its event, what comes late by its version: both are
passed over. An entry holds ids, codes and numbers; texts that people wrote are read from their owner.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from kejing.common.v1.events_pb2 import Event
from kejing.health.v1 import events_pb2 as health
from kejing.health.v1.health_pb2 import HealthStatus
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.revenue.v1.order_pb2 import OrderStatus
from kejing.tasks.v1 import events_pb2 as tasks
from kejing.tasks.v1.process_pb2 import ProcessState
from kejing.tasks.v1.task_pb2 import NOTICE_KIND_OVERDUE, TaskOrigin, TaskState
from services.customers.domain.life_cycle import Facts, order_step, process_step, task_step
from services.customers.storage import timeline
from services.customers.storage.timeline import SYNC, Change, Entry
from services.customers.storage.timeline_objects import Told, newer
from services.shared.db import Write
from services.shared.messaging.consumer import Handler

COMPUTED_MILLISECONDS = 1 << 44
"""More than any instant has, so that a week comes before the moment at which it was computed."""


async def task_changed(write: Write, event: Event, payload: tasks.TaskChanged) -> None:
    facts = payload.facts
    told = Told(
        facts.task_id,
        UUID(facts.customer_id),
        facts.version,
        _given(
            state=TaskState.Name(facts.state).removeprefix("TASK_STATE_"),
            theme=facts.theme_key,
            assignee=facts.assignee_id,
            deadline=_instant(facts.deadline_at),
            origin=TaskOrigin.Name(facts.origin).removeprefix("TASK_ORIGIN_"),
            process=facts.process_id,
            stage=facts.stage_key,
        ),
    )
    await _put(write, event, "TASK", [told], task_step)


async def task_noticed(write: Write, event: Event, payload: tasks.TaskNoticed) -> None:
    if payload.kind != NOTICE_KIND_OVERDUE:  # a reminder is nothing that happened at the customer
        return
    facts = {"deadline": _instant(payload.deadline_at)}
    customer_id = UUID(payload.customer_id)
    overdue = Entry(customer_id, "TASK", "overdue", payload.task_id, facts, occurred_at=_moment(event.occurred_at))
    await timeline.add(write, [overdue])


async def follow_up_recorded(write: Write, event: Event, payload: tasks.FollowUpRecorded) -> None:
    """Stands where it took place, which may be earlier than when it was recorded."""
    facts = _given(
        theme=payload.theme_key, task=payload.task_id, author=payload.author_id, on_behalf_of=payload.on_behalf_of_id,
        recorded_at=_instant(event.occurred_at),
    )  # fmt: skip
    at = _moment(payload.occurred_at)
    recorded = Entry(UUID(payload.customer_id), "FOLLOW_UP", "recorded", payload.follow_up_id, facts, occurred_at=at)
    await timeline.add(write, [recorded])


async def process_changed(write: Write, event: Event, payload: tasks.ProcessChanged) -> None:
    process = payload.process
    told = Told(
        process.id,
        UUID(process.customer_id),
        # Another owner is no transition: of two events of one revision the later counts.
        process.revision << 42 | event.occurred_at.ToMilliseconds(),
        _given(
            state=ProcessState.Name(process.state).removeprefix("PROCESS_STATE_"),
            definition=process.definition_key,
            definition_version=str(process.definition_version),
            theme=process.theme_key,
            stage=process.stage_key,
            owner=process.owner_id,
        ),
    )
    stages = [stage.key for stage in process.stages]
    await _put(write, event, "PROCESS", [told], lambda before, now: process_step(before, now, stages))


async def health_changed(write: Write, event: Event, payload: health.HealthChanged) -> None:
    told = []
    was = {}
    for item in payload.items:
        year, week = item.week.split("-W")
        version = int(year + week) * COMPUTED_MILLISECONDS + item.computed_at.ToMilliseconds()
        facts = {"status": HealthStatus.Name(item.status).removeprefix("HEALTH_STATUS_"), "week": item.week}
        told.append(Told(item.customer_id, UUID(item.customer_id), version, facts))
        was[item.customer_id] = HealthStatus.Name(item.previous_status).removeprefix("HEALTH_STATUS_")
    entries = []
    known = await newer(write, "HEALTH", told)
    for each in told:
        if each.object_id not in known:
            continue
        before = (known[each.object_id].facts or {}).get("status", was[each.object_id])
        if before != each.facts["status"]:
            change = Change("health_status", before, each.facts["status"])
            at = _moment(event.occurred_at)
            entries.append(Entry(each.customer_id, "HEALTH", "changed", "", each.facts, [change], at))
    await timeline.add(write, entries)


async def orders_changed(write: Write, event: Event, payload: revenue.OrdersChanged) -> None:
    told = [
        Told(
            order.order_id,
            UUID(order.customer_id),
            order.version,
            _given(
                number=order.number,
                status=OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_"),
                amount=_money(order.amount) if order.HasField("amount") else "",
                monthly_price=_money(order.monthly_price) if order.HasField("monthly_price") else "",
                signed_date=_day(order.signed_date),
                term_start=_day(order.term_start),
                term_end=_day(order.term_end) if order.HasField("term_end") else "",
                counts_to_mrr="true" if order.counts_to_mrr else "false",
                renews=order.renews_order_id,
            ),
        )
        for order in payload.orders
    ]
    await _put(write, event, "CONTRACT", told, order_step, SYNC if payload.imported else "")


HANDLERS: Mapping[type[Message], Handler] = {
    tasks.TaskChanged: task_changed,
    tasks.TaskNoticed: task_noticed,
    tasks.FollowUpRecorded: follow_up_recorded,
    tasks.ProcessChanged: process_changed,
    health.HealthChanged: health_changed,
    revenue.OrdersChanged: orders_changed,
}


async def _put(
    write: Write,
    event: Event,
    kind: str,
    told: Sequence[Told],
    step: Callable[[Facts | None, Facts], str],
    origin: str = "",
) -> None:
    """Entries of what was done to objects, as `step` reads it from how they were before."""
    known = await newer(write, kind, told)
    at = _moment(event.occurred_at)
    entries = []
    for each in told:
        if each.object_id not in known:
            continue
        before = known[each.object_id]
        if before.customer_id not in (None, each.customer_id):  # an import gave it to another customer
            gone = Entry(before.customer_id, kind, "moved_away", each.object_id, before.facts or {}, (), at, origin)
            entries.append(gone)
            before = replace(before, facts=None)
        if what := step(before.facts, each.facts):
            changes = _changes(before.facts or each.facts, each.facts)
            entries.append(Entry(each.customer_id, kind, what, each.object_id, each.facts, changes, at, origin))
    await timeline.add(write, entries)


def _changes(before: Facts, now: Facts) -> list[Change]:
    names = sorted({*before, *now})
    return [
        Change(name, before.get(name, ""), now.get(name, ""))
        for name in names
        if before.get(name, "") != now.get(name, "")
    ]


def _given(**facts: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _instant(stamp: Timestamp) -> str:
    return stamp.ToDatetime(UTC).isoformat()


def _day(day: Date) -> str:
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def _money(money: Money) -> str:
    return f"{money.units + Decimal(money.nanos) / 10**9:f} {money.currency_code}"
