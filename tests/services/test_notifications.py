"""The notifications service: every owner is told once, everybody reads his own inbox."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.customer_pb2 import Owner
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.identity.v1.events_pb2 import EmployeeFacts, EmployeesChanged
from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from kejing.tasks.v1 import task_pb2
from kejing.tasks.v1.events_pb2 import TaskNoticed
from services.notifications import consumers
from services.notifications.storage import inbox
from services.shared.clock import utc_now
from services.shared.ids import new_id
from services.shared.rpc.client import on_behalf_of
from tests.support.refusals import refused
from tests.support.services import RunningServices

MACHINE = "machine:workflows"


class Inboxes:
    """Calls as a machine that acts for whoever is named."""

    def __init__(self, services: RunningServices, stub: Any) -> None:
        self.services = services
        self.stub = stub

    async def tell(self, handler: Any, payload: Any) -> None:
        """An event of another service takes effect."""
        async with self.services.db("notifications").transaction(actor="machine:test") as write:
            await handler(write, Event(), payload)

    async def customer(self, *owners: str, customer_id: str = "", version: int = 1) -> str:
        facts = CustomerFacts(id=customer_id or str(new_id()), version=version)
        facts.owners.extend(Owner(employee_id=owner) for owner in owners)
        await self.tell(consumers.customers_changed, CustomersChanged(customers=[facts]))
        return facts.id

    async def items(self, employee: str, **asked: Any) -> list[inbox_pb2.InboxItem]:
        request = inbox_service_pb2.ListInboxRequest(**asked)
        return list((await self.stub.ListInbox(request, metadata=on_behalf_of(employee))).items)

    async def deliver(self, *alerts: tuple[str, str], customer_version: int = 0) -> int:
        """Delivers (alert, customer) and answers how many items were new."""
        notices = [
            inbox_service_pb2.AlertNotice(
                alert_id=alert, customer_id=customer, facts={"to": "AT_RISK"}, customer_version=customer_version
            )
            for alert, customer in alerts
        ]
        answer = await self.stub.DeliverAlerts(inbox_service_pb2.DeliverAlertsRequest(alerts=notices))
        return int(answer.delivered)


def employee() -> str:
    return str(new_id())


@pytest.fixture
async def inboxes(services: RunningServices) -> Inboxes:
    return Inboxes(services, await services.stub(inbox_service_pb2_grpc.InboxServiceStub, MACHINE))


async def test_every_owner_gets_an_alert_once(inboxes: Inboxes) -> None:
    one, two, both = employee(), employee(), employee()
    customer, other = await inboxes.customer(one, both, both), await inboxes.customer(two, both)
    alerts = [(str(new_id()), customer), (str(new_id()), other)]
    delivered = await asyncio.gather(*(inboxes.deliver(*alerts) for _ in range(3)))
    assert sorted(delivered) == [0, 0, 4]
    (item,) = await inboxes.items(one)
    assert (item.kind, item.customer_id, item.alert_id) == (
        inbox_pb2.INBOX_ITEM_KIND_HEALTH_ALERT, customer, alerts[0][0],
    )  # fmt: skip
    assert dict(item.facts) == {"to": "AT_RISK"}
    assert [len(await inboxes.items(who)) for who in (one, two, both)] == [1, 1, 2]


async def test_only_present_owners_who_are_active_are_told(inboxes: Inboxes) -> None:
    former, inactive, present = employee(), employee(), employee()
    customer = await inboxes.customer(former, inactive)
    await inboxes.customer(inactive, present, customer_id=customer, version=3)
    await inboxes.customer(former, customer_id=customer, version=2)  # an older event, late
    for active, version in ((False, 2), (True, 1)):
        facts = EmployeeFacts(id=inactive, active=active, version=version)
        await inboxes.tell(consumers.employees_changed, EmployeesChanged(employees=[facts]))
    assert await inboxes.deliver((str(new_id()), customer)) == 1
    assert [len(await inboxes.items(who)) for who in (former, inactive, present)] == [0, 0, 1]


async def test_an_alert_waits_until_its_customer_is_known(inboxes: Inboxes) -> None:
    owner = employee()
    known, unknown = await inboxes.customer(owner), str(new_id())
    alerts = [(str(new_id()), known), (str(new_id()), unknown)]
    answer = await refused(inboxes.deliver(*alerts))
    assert (answer.code, answer.reason) == ("UNAVAILABLE", "CUSTOMERS_NOT_KNOWN_YET")
    assert len(await inboxes.items(owner)) == 1
    await inboxes.customer(owner, customer_id=unknown)
    assert await inboxes.deliver(*alerts) == 1


async def test_an_alert_waits_for_the_owners_that_its_sender_knows_of(inboxes: Inboxes) -> None:
    former, present = employee(), employee()
    customer = await inboxes.customer(former, version=4)
    alert = (str(new_id()), customer)
    answer = await refused(inboxes.deliver(alert, customer_version=5))
    assert answer.reason == "CUSTOMERS_NOT_KNOWN_YET"
    await inboxes.customer(present, customer_id=customer, version=6)
    assert await inboxes.deliver(alert, customer_version=5) == 1
    assert [len(await inboxes.items(who)) for who in (former, present)] == [0, 1]


async def test_a_task_is_told_of_once_for_each_deadline(inboxes: Inboxes) -> None:
    one, two = employee(), employee()
    notice = TaskNoticed(task_id=str(new_id()), customer_id=str(new_id()), recipient_ids=[one, two, one],
                         kind=task_pb2.NOTICE_KIND_OVERDUE)  # fmt: skip
    notice.deadline_at.FromDatetime(utc_now())
    notice.late_by.FromTimedelta(timedelta(minutes=90))
    await inboxes.tell(consumers.task_noticed, notice)
    await inboxes.tell(consumers.task_noticed, notice)
    (item,) = await inboxes.items(one)
    assert (item.kind, item.task_id, item.late_by.seconds) == (
        inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE, notice.task_id, 5400,
    )  # fmt: skip
    assert item.facts["deadline_at"] == notice.deadline_at.ToJsonString()
    notice.deadline_at.FromDatetime(utc_now() + timedelta(days=1))
    notice.kind = task_pb2.NOTICE_KIND_REMINDER
    await inboxes.tell(consumers.task_noticed, notice)
    assert len(await inboxes.items(two)) == 2


async def test_items_are_read_by_their_owner_only(inboxes: Inboxes) -> None:
    owner, stranger = employee(), employee()
    customer = await inboxes.customer(owner)
    await inboxes.deliver(*((str(new_id()), customer) for _ in range(3)))
    items = await inboxes.items(owner)
    order = inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[items[0].id, items[2].id])
    answer = await refused(inboxes.stub.MarkRead(order, metadata=on_behalf_of(stranger)))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "INBOX_ITEM_NOT_FOUND")
    read = await inboxes.stub.MarkRead(order, metadata=on_behalf_of(owner))
    assert [item.id for item in read.items] == list(order.item_ids)
    assert all(item.HasField("read_at") for item in read.items)
    assert await inboxes.stub.MarkRead(order, metadata=on_behalf_of(owner)) == read
    assert [item.id for item in await inboxes.items(owner, unread_only=True)] == [items[1].id]
    count = inbox_service_pb2.CountUnreadRequest()
    assert (await inboxes.stub.CountUnread(count, metadata=on_behalf_of(owner))).unread == 1
    assert (await inboxes.stub.CountUnread(count, metadata=on_behalf_of(stranger))).unread == 0


async def test_pages_hold_every_item_once_newest_first(inboxes: Inboxes) -> None:
    owner = employee()
    async with inboxes.services.db("notifications").transaction(actor="machine:test") as write:
        for number in range(5):
            item = {"cause": str(number), "kind": "TASK_REMINDER", "task_id": new_id(), "facts": {},
                    "late_by": timedelta()}  # fmt: skip
            await inbox.add(write, [UUID(owner)], item)
    everything = await inboxes.items(owner)
    found: list[inbox_pb2.InboxItem] = []
    token = ""
    while True:
        request = inbox_service_pb2.ListInboxRequest(page_size=2, page_token=token)
        answer = await inboxes.stub.ListInbox(request, metadata=on_behalf_of(owner))
        found += answer.items
        token = answer.next_page_token
        if not token:
            break
    assert found == everything
    assert len(everything) == 5
    wrong = inbox_service_pb2.ListInboxRequest(page_token="x")
    answer = await refused(inboxes.stub.ListInbox(wrong, metadata=on_behalf_of(owner)))
    assert answer.fields == ("page_token",)


async def test_a_machine_has_no_inbox_and_a_person_delivers_nothing(
    services: RunningServices, inboxes: Inboxes
) -> None:
    answer = await refused(inboxes.stub.ListInbox(inbox_service_pb2.ListInboxRequest()))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "NOT_AN_EMPLOYEE")
    admin = await services.stub(inbox_service_pb2_grpc.InboxServiceStub)
    notice = inbox_service_pb2.AlertNotice(alert_id=str(new_id()), customer_id=str(new_id()))
    answer = await refused(admin.DeliverAlerts(inbox_service_pb2.DeliverAlertsRequest(alerts=[notice])))
    assert answer.reason == "MACHINES_ONLY"
    assert (await admin.ListInbox(inbox_service_pb2.ListInboxRequest(unread_only=True))).next_page_token == ""
