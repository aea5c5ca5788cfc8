"""One timeline a customer: what all services did at it, in one order."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from google.protobuf.message import Message
from google.type.money_pb2 import Money
from nats.aio.client import Client as Nats

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import tags_service_pb2
from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from kejing.health.v1 import events_pb2 as health
from kejing.health.v1 import health_pb2
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.revenue.v1 import order_pb2, orders_service_pb2
from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
from kejing.tasks.v1 import events_pb2 as told_by_tasks
from kejing.tasks.v1 import follow_ups_service_pb2, process_pb2, task_pb2, tasks_service_pb2
from kejing.tasks.v1.follow_ups_service_pb2_grpc import FollowUpsServiceStub
from kejing.tasks.v1.tasks_service_pb2_grpc import TasksServiceStub
from services.customers.api.timeline_events import HANDLERS
from services.shared.ids import new_id
from services.shared.messaging.consumer import Consumer
from services.shared.messaging.envelope import to_envelope
from services.shared.rpc.wire import to_date, to_timestamp
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import deadline_in
from tests.support.timelines import Timeline, new_timeline

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


async def tell(services: RunningServices, payload: Message, at: datetime = NOON, actor: str = "machine:test") -> None:
    """An event of another service, as the consumer takes it."""
    event = Event(id=str(new_id()), occurred_at=to_timestamp(at), actor=actor)
    async with services.db("customers").transaction(actor=actor, unscoped="an event of its owner") as write:
        await HANDLERS[type(payload)](write, event, payload)


async def test_a_task_is_followed_from_its_creation_to_its_end(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    stub = await services.stub(TasksServiceStub)
    made = tasks_service_pb2.CreateTaskRequest(
        request_id=fresh(), customer_id=timeline.customer_id, title="Call Ms Wang", theme_key="value",
        deadline=deadline_in(days=3),
    )  # fmt: skip
    task = (await stub.CreateTask(made)).task
    moved = tasks_service_pb2.PostponeTaskRequest(
        request_id=fresh(), task_id=task.id, deadline=deadline_in(days=5), reason="she is away"
    )
    await stub.PostponeTask(moved)
    follow_ups = await services.stub(FollowUpsServiceStub)
    held = follow_ups_service_pb2.CreateFollowUpRequest(
        request_id=fresh(), customer_id=timeline.customer_id, theme_key="value", task_id=task.id,
        channel=follow_ups_service_pb2.CHANNEL_CALL, content="We spoke.",
    )  # fmt: skip
    follow_up = (await follow_ups.CreateFollowUp(held)).follow_up
    await stub.CompleteTask(tasks_service_pb2.CompleteTaskRequest(request_id=fresh(), task_id=task.id))

    only_tasks = [pb.TIMELINE_KIND_TASK]
    entries = await timeline.until(
        "TASK created", "TASK postponed", "TASK started", "TASK completed", kinds=only_tasks
    )  # fmt: skip
    assert {entry.object_id for entry in entries} == {task.id}
    assert entries[0].origin == pb.TIMELINE_ORIGIN_PERSON
    assert {change.field: (change.before, change.after) for change in entries[0].changes} == {
        "state": ("IN_PROGRESS", "DONE")
    }
    [recorded] = await timeline.until("FOLLOW_UP recorded", kinds=[pb.TIMELINE_KIND_FOLLOW_UP])
    assert (recorded.object_id, recorded.facts["task"]) == (follow_up.id, task.id)
    assert (await timeline.steps())[0] == "CREATED created"
    written = str(await timeline.entries())
    assert not any(word in written for word in ("Wang", "away", "spoke"))


async def test_orders_are_told_and_so_is_the_end_that_they_move(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    stub = await services.stub(OrdersServiceStub)
    wanted = orders_service_pb2.CreateOrderRequest(
        request_id=fresh(), number=fresh("HT"), customer_id=timeline.customer_id, product="Standard",
        amount=Money(currency_code="CNY", units=12_000), signed_date=to_date(date(2026, 1, 1)), counts_to_mrr=True,
        term_start=to_date(date(2026, 1, 1)), term_end=to_date(date(2099, 12, 31)),
        status=order_pb2.ORDER_STATUS_DRAFT,
    )  # fmt: skip
    order = (await stub.CreateOrder(wanted)).order
    await timeline.until("CREATED created", "CONTRACT drafted")
    await stub.ConfirmOrder(orders_service_pb2.ConfirmOrderRequest(request_id=fresh(), order_id=order.id))
    entries = await timeline.until(
        "CREATED created", "CONTRACT drafted", "CONTRACT confirmed", "CONTRACT end_moved"
    )  # fmt: skip
    [end, confirmed, *_] = entries
    assert [(each.field, each.before, each.after) for each in end.changes] == [("last_contract_end", "", "2099-12-31")]
    assert (confirmed.facts["number"], confirmed.facts["amount"]) == (order.number, "12000 CNY")

    void = orders_service_pb2.VoidOrderRequest(request_id=fresh(), order_id=order.id, reason="typed twice")
    await stub.VoidOrder(void)
    entries = await timeline.until("CONTRACT voided", "CONTRACT end_moved", kinds=[pb.TIMELINE_KIND_CONTRACT],
                                   page_size=2)  # fmt: skip
    assert "typed twice" not in str(entries)


async def test_an_import_of_orders_is_synchronisation(services: RunningServices) -> None:
    key = fresh("T")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    timeline = Timeline(services, (await by_external_id(services, key)).id)
    rows = [
        orders_service_pb2.OrderRow(
            number=f"{key}-{n}", customer_external_id=key, product="Seats", counts_to_mrr=True,
            monthly_price=Money(currency_code="CNY", units=100 + n), term_start=to_date(date(2026, 1, 1)),
        )
        for n in range(3)
    ]  # fmt: skip
    stub = await services.stub(OrdersServiceStub, "")
    admin = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)

    async def batches() -> AsyncIterator[orders_service_pb2.ImportOrdersRequest]:
        yield orders_service_pb2.ImportOrdersRequest(request_id=fresh(), rows=rows)

    async def taken() -> bool:  # once revenue knows the customer
        return not (await stub.ImportOrders(batches(), metadata=admin, timeout=30)).rejected

    await eventually(taken)
    only = [pb.TIMELINE_KIND_CONTRACT]
    [folded] = await timeline.until("CONTRACT confirmed", kinds=only)
    assert (folded.folded, folded.origin) == (3, pb.TIMELINE_ORIGIN_SYNC)
    assert len(await timeline.entries(kinds=only, unfolded=True)) == 3


def process(customer_id: str, **values: Any) -> process_pb2.Process:
    told: dict[str, Any] = {
        "id": str(new_id()), "customer_id": customer_id, "definition_key": "delivery", "theme_key": "delivery",
        "state": process_pb2.PROCESS_STATE_RUNNING, "stage_key": "meet", "owner_id": str(new_id()), "revision": 1,
        "stages": [process_pb2.ProcessStage(key=key) for key in ("meet", "train", "use")],
    }  # fmt: skip
    return process_pb2.Process(**{**told, **values})


async def test_a_process_is_followed_by_its_revisions(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    first = process(timeline.customer_id)

    def now(revision: int, **values: Any) -> told_by_tasks.ProcessChanged:
        changed = process_pb2.Process()
        changed.CopyFrom(first)
        changed.MergeFrom(process_pb2.Process(revision=revision, **values))
        return told_by_tasks.ProcessChanged(process=changed)

    paused = now(3, stage_key="train", state=process_pb2.PROCESS_STATE_PAUSED)
    for minutes, told in enumerate([now(1), now(2, stage_key="train"), paused, now(2, stage_key="train"), paused]):
        await tell(services, told, NOON + timedelta(minutes=minutes))
    handed_over = now(3, stage_key="train", state=process_pb2.PROCESS_STATE_PAUSED, owner_id=str(new_id()))
    await tell(services, handed_over, NOON + timedelta(minutes=9))
    await tell(services, paused, NOON + timedelta(minutes=8))  # late
    assert await timeline.steps(kinds=[pb.TIMELINE_KIND_PROCESS]) == [
        "PROCESS started", "PROCESS advanced", "PROCESS paused", "PROCESS reassigned",
    ]  # fmt: skip


def health_of(customer_id: str, week: str, status: str, computed_at: datetime) -> health.HealthChanged:
    item = health.CustomerHealth(
        customer_id=customer_id, week=week, status=health_pb2.HealthStatus.Value(f"HEALTH_STATUS_{status}"),
        previous_status=health_pb2.HEALTH_STATUS_NOT_COMPUTED, computed_at=to_timestamp(computed_at),
    )  # fmt: skip
    return health.HealthChanged(items=[item])


async def test_health_is_told_where_it_changes_and_an_old_week_is_passed_over(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    told = [("2026-W45", "FAIR"), ("2026-W46", "FAIR"), ("2026-W47", "AT_RISK"), ("2026-W46", "EXCELLENT")]
    for number, (week, status) in enumerate(told):
        at = NOON + timedelta(minutes=number)
        await tell(services, health_of(timeline.customer_id, week, status, at), at)
    entries = await timeline.entries(kinds=[pb.TIMELINE_KIND_HEALTH])
    changes = [(entry.facts["week"], entry.changes[0].before, entry.changes[0].after) for entry in entries]
    assert changes == [("2026-W47", "FAIR", "AT_RISK"), ("2026-W45", "NOT_COMPUTED", "FAIR")]


def task(customer_id: str, task_id: str, version: int, **values: Any) -> told_by_tasks.TaskChanged:
    facts = task_pb2.TaskFacts(
        task_id=task_id, customer_id=customer_id, theme_key="value", state=task_pb2.TASK_STATE_TODO, version=version,
        deadline_at=to_timestamp(NOON),
    )  # fmt: skip
    facts.MergeFrom(task_pb2.TaskFacts(**values))
    return told_by_tasks.TaskChanged(facts=facts)


async def test_what_comes_late_or_again_is_told_once(services: RunningServices) -> None:
    timeline, task_id = await new_timeline(services), str(new_id())
    done = task(timeline.customer_id, task_id, 3, state=task_pb2.TASK_STATE_DONE)
    first = task(timeline.customer_id, task_id, 1)
    for told in (
        first,
        done,
        task(timeline.customer_id, task_id, 2, state=task_pb2.TASK_STATE_IN_PROGRESS),
        first,
        done,
    ):
        await tell(services, told)
    assert await timeline.steps(kinds=[pb.TIMELINE_KIND_TASK]) == ["TASK created", "TASK completed"]


async def test_an_event_that_is_delivered_again_is_one_entry(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    consumer = Consumer(services.db("customers"), Nats(), "customers-timeline", HANDLERS)
    told = told_by_tasks.FollowUpRecorded(
        follow_up_id=str(new_id()), customer_id=timeline.customer_id, occurred_at=to_timestamp(NOON)
    )
    event = to_envelope(told, occurred_at=NOON + timedelta(days=1), actor="machine:test", request_id="")
    assert await consumer.take(event)
    assert not await consumer.take(event)
    [entry] = await timeline.entries(kinds=[pb.TIMELINE_KIND_FOLLOW_UP])
    assert entry.occurred_at.ToDatetime(UTC) == NOON
    assert entry.facts["recorded_at"] == (NOON + timedelta(days=1)).isoformat()


async def test_a_missed_deadline_is_told_and_a_reminder_is_not(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    for kind in (task_pb2.NOTICE_KIND_REMINDER, task_pb2.NOTICE_KIND_OVERDUE):
        notice = told_by_tasks.TaskNoticed(
            task_id=str(new_id()), customer_id=timeline.customer_id, kind=kind, deadline_at=to_timestamp(NOON)
        )
        await tell(services, notice)
    [entry] = await timeline.entries(kinds=[pb.TIMELINE_KIND_TASK])
    assert (entry.what, entry.occurred_at.ToDatetime(UTC)) == ("overdue", NOON)


async def test_an_order_that_an_import_gives_to_another_customer_leaves_the_first(services: RunningServices) -> None:
    before, after = await new_timeline(services), await new_timeline(services)
    order_id = str(new_id())
    for version, owner in enumerate((before, after), 1):
        facts = revenue.OrderFacts(
            order_id=order_id, customer_id=owner.customer_id, status=order_pb2.ORDER_STATUS_EFFECTIVE, version=version
        )
        await tell(services, revenue.OrdersChanged(orders=[facts], imported=True), NOON + timedelta(minutes=version))
    only = [pb.TIMELINE_KIND_CONTRACT]
    assert await before.steps(kinds=only, unfolded=True) == ["CONTRACT confirmed", "CONTRACT moved_away"]
    assert await after.steps(kinds=only) == ["CONTRACT confirmed"]


async def test_pages_end_with_the_creation_and_kinds_and_days_choose(services: RunningServices) -> None:
    timeline = await new_timeline(services)
    customer_id = timeline.customer_id
    midnight = datetime(2026, 11, 20, 16, tzinfo=UTC)  # in business time, of the 21st
    for at in (midnight - timedelta(seconds=1), midnight):
        await tell(services, task(customer_id, str(new_id()), 1), at)
    stub = await services.stub(TimelineServiceStub)
    seen: list[str] = []
    request = pb.ListTimelineRequest(customer_id=customer_id, page_size=1)
    while True:
        answer = await stub.ListTimeline(request)
        seen += [entry.what for entry in answer.entries]
        assert len(answer.entries) == 1
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    assert seen == ["created", "created", "created"]
    assert (await timeline.entries())[-1].kind == pb.TIMELINE_KIND_CREATED
    first, second = to_date(date(2026, 11, 20)), to_date(date(2026, 11, 21))
    assert [e.occurred_at.ToDatetime(UTC) for e in await timeline.entries(to=first)] == [
        midnight - timedelta(seconds=1)
    ]
    [later, *_] = await timeline.entries(**{"from": second, "to": second})
    assert later.occurred_at.ToDatetime(UTC) == midnight
    assert await timeline.steps(kinds=[pb.TIMELINE_KIND_CREATED]) == ["CREATED created"]

    request = pb.ListTimelineRequest(customer_id=customer_id, page_token="none")
    assert (await refused(stub.ListTimeline(request))).fields == ("page_token",)
    backward: dict[str, Any] = {"from": second, "to": first}
    refusal = await refused(stub.ListTimeline(pb.ListTimelineRequest(customer_id=customer_id, **backward)))
    assert refusal.fields == ("to",)


async def test_synchronisation_in_a_row_is_one_entry(services: RunningServices) -> None:
    key = fresh("T")
    for region in ("华东", "华南", "华北"):
        await bring(services, "ImportCustomers", [{"external_id": key, "name": key, "region": region}])
    timeline = Timeline(services, (await by_external_id(services, key)).id)
    tagging = tags_service_pb2.TagCustomersRequest(request_id=fresh(), tag="vip", customer_ids=[timeline.customer_id])
    await (await services.stub(TagsServiceStub)).TagCustomers(tagging)
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key, "region": "西南"}])
    [last, tagged, folded, created] = await timeline.entries()
    assert [entry.folded for entry in (last, tagged, folded, created)] == [1, 1, 2, 1]
    assert (folded.changes[0].before, folded.changes[0].after) == ("华南", "华北")
    assert list(folded.folded_kinds) == [pb.TIMELINE_KIND_ATTRIBUTES]
    assert (tagged.what, tagged.object_id) == ("tagged", "vip")
    assert len(await timeline.entries(unfolded=True)) == 5


async def test_a_timeline_is_shown_to_whom_the_customer_is_shown(services: RunningServices) -> None:
    key, somebody = fresh("T"), await colleague(services)
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    customer_id = (await by_external_id(services, key)).id
    stub = await services.stub(TimelineServiceStub, f"employee:{somebody.login}")
    for hidden in (customer_id, str(new_id())):
        request = pb.ListTimelineRequest(customer_id=hidden)
        assert (await refused(stub.ListTimeline(request))).reason == "CUSTOMER_NOT_FOUND"
    await own(services, key, somebody.login)
    mine = Timeline(services, customer_id, f"employee:{somebody.login}")
    assert await mine.steps() == ["CREATED created", "OWNER changed"]


async def test_what_other_services_told_takes_the_permission_that_it_takes_there(services: RunningServices) -> None:
    key, agent = fresh("T"), await colleague(services, "SERVICE_AGENT")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    await own(services, key, agent.login)
    mine = Timeline(services, (await by_external_id(services, key)).id, f"employee:{agent.login}")
    order = revenue.OrderFacts(order_id=str(new_id()), customer_id=mine.customer_id, version=1,
                               status=order_pb2.ORDER_STATUS_EFFECTIVE)  # fmt: skip
    await tell(services, revenue.OrdersChanged(orders=[order]))
    await tell(services, health_of(mine.customer_id, "2026-W47", "FAIR", NOON))
    await tell(services, task(mine.customer_id, str(new_id()), 1))
    assert set(await mine.steps()) == {"CREATED created", "OWNER changed", "TASK created"}
    assert await mine.steps(kinds=[pb.TIMELINE_KIND_CONTRACT, pb.TIMELINE_KIND_HEALTH]) == []
    everything = await Timeline(services, mine.customer_id).steps()
    assert {"CONTRACT confirmed", "HEALTH changed"} < set(everything)
