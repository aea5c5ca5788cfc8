"""The notifications service: every owner is told once, everybody reads his own inbox, and as much as he may now."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2
from kejing.tasks.v1 import task_pb2
from services.notifications.storage import inbox
from services.notifications.storage.tables import inbox_items
from services.shared.clock import business_date, utc_now
from services.shared.ids import new_id
from tests.support.employees import new_employee
from tests.support.notifications import HERE, STUB, Inboxes, employee, noticed, open_inboxes
from tests.support.people import ZONE, owned_by, stub_of, tell_owners, to_day
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def inboxes(services: RunningServices) -> Inboxes:
    return await open_inboxes(services)


async def test_every_owner_gets_an_alert_once(inboxes: Inboxes) -> None:
    one, two, both = await new_employee(inboxes.services, "CSM"), employee(), employee()
    customer, other = await inboxes.customer(one.id, both, both), await inboxes.customer(two, both)
    alerts = [(str(new_id()), customer), (str(new_id()), other)]
    delivered = await asyncio.gather(*(inboxes.deliver(*alerts) for _ in range(3)))
    assert sorted(delivered) == [0, 0, 4]
    (item,) = await inboxes.items(one)
    assert (item.kind, item.customer_id, item.alert_id, item.on_behalf_of_id) == (
        inbox_pb2.INBOX_ITEM_KIND_HEALTH_ALERT, customer, alerts[0][0], "",
    )  # fmt: skip
    assert dict(item.facts) == {"to": "AT_RISK"}
    assert await inboxes.numbers(one.id, two, both) == [1, 1, 2]


async def test_only_present_owners_who_are_active_are_told(inboxes: Inboxes) -> None:
    former, inactive, present = employee(), employee(), employee()
    customer = await inboxes.customer(former, inactive)
    await inboxes.customer(inactive, present, customer_id=customer, version=3)
    await inboxes.customer(former, customer_id=customer, version=2)  # an older event, late
    await inboxes.has_left(inactive)
    assert await inboxes.alert(customer) == 1
    assert await inboxes.numbers(former, inactive, present) == [0, 0, 1]


async def test_only_who_owns_the_customer_today_is_told(inboxes: Inboxes) -> None:
    until_yesterday, from_tomorrow, today = employee(), employee(), employee()
    facts = owned_by([until_yesterday, from_tomorrow, today])
    facts.owners[0].valid_to.CopyFrom(to_day(-1))
    facts.owners[1].valid_from.CopyFrom(to_day(1))
    facts.owners[2].valid_from.CopyFrom(to_day(0))
    facts.owners[2].valid_to.CopyFrom(to_day(0))
    await tell_owners(inboxes.services, HERE, facts)
    assert await inboxes.alert(facts.id) == 1
    assert await inboxes.numbers(until_yesterday, from_tomorrow, today) == [0, 0, 1]


async def test_an_alert_waits_until_its_customer_is_known(inboxes: Inboxes) -> None:
    owner = employee()
    known, unknown = await inboxes.customer(owner), str(new_id())
    alerts = [(str(new_id()), known), (str(new_id()), unknown)]
    answer = await refused(inboxes.deliver(*alerts))
    assert (answer.code, answer.reason) == ("UNAVAILABLE", "CUSTOMERS_NOT_KNOWN_YET")
    assert await inboxes.numbers(owner) == [1]
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
    assert await inboxes.numbers(former, present) == [0, 1]


async def test_a_task_is_told_of_once_for_each_deadline(inboxes: Inboxes) -> None:
    one, two = await new_employee(inboxes.services, "CSM"), employee()
    notice = noticed(await inboxes.customer(one.id), [one.id, two, one.id])
    await inboxes.notice(notice)
    await inboxes.notice(notice)
    (item,) = await inboxes.items(one)
    assert (item.kind, item.task_id, item.customer_id, item.late_by.seconds) == (
        inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE, notice.task_id, notice.customer_id, 5400,
    )  # fmt: skip
    assert item.facts["deadline_at"] == notice.deadline_at.ToJsonString()
    notice.deadline_at.FromDatetime(utc_now() + timedelta(days=1))
    notice.kind = task_pb2.NOTICE_KIND_REMINDER
    await inboxes.notice(notice)
    assert await inboxes.numbers(one.id, two) == [2, 2]


async def test_a_notice_that_names_nobody_puts_nothing_anywhere(inboxes: Inboxes) -> None:
    notice = noticed(str(new_id()), [])
    await inboxes.notice(notice)
    async with inboxes.services.db(HERE).read(unscoped="looked at by a test") as read:
        query = select(inbox_items.c.id).where(inbox_items.c.task_id == UUID(notice.task_id))
        assert not (await read.execute(query)).all()


async def test_items_are_read_by_their_owner_only(inboxes: Inboxes) -> None:
    owner, stranger = await new_employee(inboxes.services, "CSM"), await new_employee(inboxes.services, "CSM")
    customer = await inboxes.customer(owner.id)
    await inboxes.deliver(*((str(new_id()), customer) for _ in range(3)))
    items = await inboxes.items(owner)
    order = inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[items[0].id, items[2].id])
    mine, theirs = [await stub_of(inboxes.services, STUB, who) for who in (owner, stranger)]
    answer = await refused(theirs.MarkRead(order))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "INBOX_ITEM_NOT_FOUND")
    read = await mine.MarkRead(order)
    assert [item.id for item in read.items] == list(order.item_ids)
    assert all(item.HasField("read_at") for item in read.items)
    assert await mine.MarkRead(order) == read
    assert [item.id for item in await inboxes.items(owner, unread_only=True)] == [items[1].id]
    count = inbox_service_pb2.CountUnreadRequest()
    assert [(await stub.CountUnread(count)).unread for stub in (mine, theirs)] == [1, 0]


async def test_of_items_of_which_one_is_not_found_none_is_marked(inboxes: Inboxes) -> None:
    owner = await new_employee(inboxes.services, "CSM")
    await inboxes.alert(await inboxes.customer(owner.id))
    (item,) = await inboxes.items(owner)
    order = inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[item.id, str(new_id())])
    answer = await refused((await stub_of(inboxes.services, STUB, owner)).MarkRead(order))
    assert answer.message == f"no inbox item {order.item_ids[1]}"
    assert len(await inboxes.items(owner, unread_only=True)) == 1


async def test_pages_hold_every_item_once_newest_first(inboxes: Inboxes) -> None:
    owner = await new_employee(inboxes.services, "CSM")
    today = business_date(utc_now(), ZONE)
    async with inboxes.services.db(HERE).transaction(actor="machine:test", unscoped="told by a test") as write:
        for number in range(5):
            item = {"cause": str(number), "kind": "TASK_REMINDER", "task_id": new_id(), "facts": {},
                    "late_by": timedelta()}  # fmt: skip
            await inbox.add(write, [UUID(owner.id)], item, today)
    everything = await inboxes.items(owner)
    stub = await stub_of(inboxes.services, STUB, owner)
    found: list[inbox_pb2.InboxItem] = []
    token = ""
    while True:
        answer = await stub.ListInbox(inbox_service_pb2.ListInboxRequest(page_size=2, page_token=token))
        found += answer.items
        token = answer.next_page_token
        if not token:
            break
    assert found == everything
    assert len(everything) == 5
    wrong = inbox_service_pb2.ListInboxRequest(page_token="x")
    assert (await refused(stub.ListInbox(wrong))).fields == ("page_token",)


async def test_a_machine_has_no_inbox_and_a_person_delivers_nothing(
    services: RunningServices, inboxes: Inboxes
) -> None:
    answer = await refused(inboxes.stub.ListInbox(inbox_service_pb2.ListInboxRequest()))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "MACHINE_NOT_ALLOWED")
    admin = await services.stub(STUB)
    notice = inbox_service_pb2.AlertNotice(alert_id=str(new_id()), customer_id=str(new_id()))
    answer = await refused(admin.DeliverAlerts(inbox_service_pb2.DeliverAlertsRequest(alerts=[notice])))
    assert answer.reason == "MACHINES_ONLY"
    assert (await admin.ListInbox(inbox_service_pb2.ListInboxRequest(unread_only=True))).next_page_token == ""


async def test_what_left_the_scope_is_not_shown_until_it_is_back(inboxes: Inboxes) -> None:
    owner = await new_employee(inboxes.services, "CSM")
    stays, leaves = await inboxes.customer(owner.id), await inboxes.customer(owner.id)
    for customer in (stays, leaves):
        await inboxes.alert(customer)
    hidden = next(item for item in await inboxes.items(owner) if item.customer_id == leaves)
    stub = await stub_of(inboxes.services, STUB, owner)
    order = inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[hidden.id])
    await stub.MarkRead(order)

    await inboxes.customer(employee(), customer_id=leaves, version=2)
    assert [item.customer_id for item in await inboxes.items(owner)] == [stays]
    assert (await stub.CountUnread(inbox_service_pb2.CountUnreadRequest())).unread == 1
    for request in (order, inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[hidden.id])):
        answer = await refused(stub.MarkRead(request))
        assert (answer.reason, answer.message) == ("INBOX_ITEM_NOT_FOUND", f"no inbox item {hidden.id}")

    await inboxes.customer(owner.id, customer_id=leaves, version=3)
    assert {item.customer_id for item in await inboxes.items(owner)} == {stays, leaves}


async def test_who_sees_every_customer_sees_all_of_his_inbox_and_no_other(inboxes: Inboxes) -> None:
    reader, owner = await new_employee(inboxes.services, "DATA_ANALYST"), employee()
    customer = await inboxes.customer(owner)
    await inboxes.notice(noticed(customer, [reader.id]))
    await inboxes.alert(customer)
    assert [item.customer_id for item in await inboxes.items(reader)] == [customer]
    assert await inboxes.numbers(owner) == [1]
