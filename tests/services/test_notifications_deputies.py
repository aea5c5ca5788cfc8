"""Deputies and notices: copies for who stands in, and the absent one's inbox."""

import pytest

from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2
from kejing.tasks.v1 import task_pb2
from services.shared.ids import new_id
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.notifications import HERE, STUB, Inboxes, employee, noticed, open_inboxes
from tests.support.people import acting_for, end_deputy, stub_of
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def inboxes(services: RunningServices) -> Inboxes:
    return await open_inboxes(services)


async def test_notices_go_to_the_absent_one_and_to_his_deputy(inboxes: Inboxes) -> None:
    absent, deputy = await new_employee(inboxes.services, "CSM"), await new_employee(inboxes.services, "CSM")
    customer = await inboxes.customer(absent.id)
    await inboxes.deputy(absent.id, deputy.id, first=0, last=0)
    for kind in (task_pb2.NOTICE_KIND_REMINDER, task_pb2.NOTICE_KIND_OVERDUE):
        notice = noticed(customer, [absent.id], kind)
        for _ in range(2):
            await inboxes.notice(notice)
    assert await inboxes.alert(customer) == 2
    for person, on_behalf_of in ((absent, ""), (deputy, absent.id)):
        items = await inboxes.items(person)
        assert {item.kind for item in items} == {
            inbox_pb2.INBOX_ITEM_KIND_HEALTH_ALERT, inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE,
            inbox_pb2.INBOX_ITEM_KIND_TASK_REMINDER,
        }  # fmt: skip
        assert [item.on_behalf_of_id for item in items] == [on_behalf_of] * 3


async def test_who_is_no_deputy_today_or_has_left_gets_no_copy(inboxes: Inboxes) -> None:
    owner = employee()
    over, later, ended, gone = employee(), employee(), employee(), employee()
    await inboxes.deputy(owner, over, first=-9, last=-1)
    await inboxes.deputy(owner, later, first=1, last=9)
    await inboxes.deputy(owner, ended, deleted=True)
    await inboxes.deputy(owner, gone)
    await inboxes.has_left(gone)
    customer = await inboxes.customer(owner)
    assert await inboxes.alert(customer) == 1
    await inboxes.notice(noticed(customer, [owner]))
    assert await inboxes.numbers(owner, over, later, ended, gone) == [2, 0, 0, 0, 0]


async def test_a_deputyship_that_begins_later_brings_what_comes_from_then_on(inboxes: Inboxes) -> None:
    absent, deputy = employee(), employee()
    customer = await inboxes.customer(absent)
    deputyship = await inboxes.deputy(absent, deputy, first=1, last=9)
    await inboxes.notice(noticed(customer, [absent], task_pb2.NOTICE_KIND_REMINDER))
    await inboxes.deputy(absent, deputy, first=0, last=9, id=deputyship.id, version=2)
    after = noticed(customer, [absent], task_pb2.NOTICE_KIND_REMINDER)
    await inboxes.notice(after)
    of_deputy, of_absent = await inboxes.held(deputy, absent)
    assert [str(row.task_id) for row in of_deputy] == [after.task_id]
    assert len(of_absent) == 2


async def test_nobody_is_told_instead_of_an_owner_who_has_left(inboxes: Inboxes) -> None:
    left, deputy = employee(), employee()
    await inboxes.deputy(left, deputy)
    await inboxes.has_left(left)
    assert await inboxes.alert(await inboxes.customer(left)) == 0
    assert await inboxes.numbers(deputy) == [0]


async def test_an_owner_who_stands_in_for_another_has_the_notice_once_as_his_own(inboxes: Inboxes) -> None:
    absent, owner = employee(), employee()
    await inboxes.deputy(absent, owner)
    customer = await inboxes.customer(absent, owner)
    assert await inboxes.alert(customer) == 2
    await inboxes.notice(noticed(customer, [absent, owner]))
    (rows,) = await inboxes.held(owner)
    assert [row.on_behalf_of_id for row in rows] == [None, None]


async def test_who_stands_in_for_two_has_the_notice_once_for_the_longer_absent(inboxes: Inboxes) -> None:
    short, long, deputy = employee(), employee(), employee()
    await inboxes.deputy(long, deputy, last=9)
    await inboxes.deputy(short, deputy, last=1)
    assert await inboxes.alert(await inboxes.customer(short, long)) == 3
    ((row,),) = await inboxes.held(deputy)
    assert str(row.on_behalf_of_id) == long


async def test_a_deputys_copy_is_shown_while_he_is_deputy_and_the_absent_one_sees_the_customer(
    inboxes: Inboxes,
) -> None:
    absent, deputy = await new_employee(inboxes.services, "CSM"), await new_employee(inboxes.services, "CSM")
    deputyship = await inboxes.deputy(absent.id, deputy.id)
    customer = await inboxes.customer(absent.id)
    await inboxes.alert(customer)
    assert len(await inboxes.items(deputy)) == 1
    await inboxes.customer(employee(), customer_id=customer, version=2)
    assert await inboxes.items(deputy) == []
    await inboxes.customer(absent.id, customer_id=customer, version=3)
    assert len(await inboxes.items(deputy)) == 1
    await end_deputy(inboxes.services, HERE, deputyship)
    assert await inboxes.items(deputy) == []
    assert len(await inboxes.items(absent)) == 1
    await inboxes.customer(deputy.id, customer_id=customer, version=4)  # now his own
    assert len(await inboxes.items(deputy)) == 1


async def test_a_deputy_who_acts_for_the_absent_one_reads_that_ones_inbox(inboxes: Inboxes) -> None:
    absent, deputy = await new_employee(inboxes.services, "CSM"), await new_employee(inboxes.services, "CSM")
    await inboxes.alert(await inboxes.customer(absent.id))
    asking = inboxes.items(deputy, metadata=acting_for(absent))
    assert (await refused(asking)).reason == "NOT_A_DEPUTY"
    await inboxes.deputy(absent.id, deputy.id)

    async def allowed() -> list[inbox_pb2.InboxItem]:
        await inboxes.services.directory(HERE).look()
        return await inboxes.items(deputy, metadata=acting_for(absent))

    (item,) = await eventually(allowed)
    assert await inboxes.items(deputy) == []  # it came before he was deputy
    stub = await stub_of(inboxes.services, STUB, deputy)
    order = inbox_service_pb2.MarkReadRequest(request_id=str(new_id()), item_ids=[item.id])
    assert (await refused(stub.MarkRead(order))).reason == "INBOX_ITEM_NOT_FOUND"
    await stub.MarkRead(order, metadata=acting_for(absent))
    assert await inboxes.items(absent, unread_only=True) == []


async def test_what_somebody_sees_as_a_deputy_his_own_deputy_does_not(inboxes: Inboxes) -> None:
    first, second, third = [await new_employee(inboxes.services, "CSM") for _ in range(3)]
    await inboxes.deputy(first.id, second.id)
    await inboxes.deputy(second.id, third.id)
    await inboxes.alert(await inboxes.customer(first.id))
    assert await inboxes.numbers(second.id, third.id) == [1, 0]
    assert len(await inboxes.items(second)) == 1
    assert await inboxes.items(third, metadata=acting_for(second)) == []
