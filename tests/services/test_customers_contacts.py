"""Contacts: likely duplicates are listed, merged and parted again; what is ours is changed by people."""

from collections.abc import Sequence
from typing import Any

import pytest

from kejing.customers.v1 import contacts_service_pb2 as pb
from kejing.customers.v1 import timeline_service_pb2 as timeline_pb
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from tests.support.customers import bring, by_external_id, colleague, csv_of, fresh, own, plain_mapping, upload
from tests.support.refusals import refused
from tests.support.services import RunningServices

ZHOU = {"name": "周伟", "phone": "138 0013 8000", "wechat_id": "zhouwei", "post": "", "email": ""}
ZHOU_AGAIN = {"name": "Zhou Wei", "phone": "+86 138-0013-8000", "wechat_id": "", "post": "CTO", "email": "Zhou@a.cn"}
LI = {"name": "李娜", "phone": "", "wechat_id": "", "post": "CFO", "email": "li@a.cn"}


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(ContactsServiceStub)


async def customer_with(
    services: RunningServices, *people: dict[str, str], ours: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """The external id of a new customer, and the ids of its contacts, in the order given."""
    key = fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    await contacts_come(services, key, *people, ours=ours)
    stub = await services.stub(ContactsServiceStub)
    known = {
        contact.external_id: contact.id for contact in await listed(stub, (await by_external_id(services, key)).id)
    }
    return key, [known[str(number)] for number in range(len(people))]


async def contacts_come(services: RunningServices, key: str, *people: dict[str, str], ours: Sequence[str] = ()) -> None:
    rows = [{"customer_external_id": key, "external_id": str(n), **person} for n, person in enumerate(people)]
    mapping = plain_mapping(rows[0], ours=ours)
    assert not (await upload(services, "ImportContacts", csv_of(rows), mapping, source=f"of-{key}".lower())).rejected


async def listed(stub: Any, customer_id: str) -> list[Any]:
    return list((await stub.ListContacts(pb.ListContactsRequest(customer_id=customer_id))).contacts)


async def duplicates(stub: Any, customer_id: str) -> list[tuple[list[str], list[str]]]:
    answer = await stub.ListDuplicates(pb.ListDuplicatesRequest(customer_id=customer_id))
    return [([contact.id for contact in group.contacts], list(group.alike_in)) for group in answer.groups]


def merging(into: str, *others: str) -> pb.MergeContactsRequest:
    return pb.MergeContactsRequest(request_id=fresh(), into_id=into, contact_ids=others)


def undoing(merge_id: str) -> pb.UndoMergeRequest:
    return pb.UndoMergeRequest(request_id=fresh(), merge_id=merge_id)


async def test_contacts_with_one_number_written_in_two_ways_are_likely_one_person(
    services: RunningServices, stub: Any
) -> None:
    key, ids = await customer_with(services, ZHOU, LI, ZHOU_AGAIN)
    customer_id = (await by_external_id(services, key)).id
    assert await duplicates(stub, customer_id) == [([ids[0], ids[2]], ["phone"])]


async def test_who_is_kept_apart_is_not_listed_again(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN)
    customer_id = (await by_external_id(services, key)).id
    await stub.KeepApart(pb.KeepApartRequest(request_id=fresh(), contact_ids=ids))
    assert await duplicates(stub, customer_id) == []
    await contacts_come(services, key, ZHOU, ZHOU_AGAIN | {"post": "CEO"})
    assert await duplicates(stub, customer_id) == []


async def test_a_merged_contact_is_hidden_and_lends_what_the_shown_one_lacks(
    services: RunningServices, stub: Any
) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN, LI)
    customer_id = (await by_external_id(services, key)).id
    before = await listed(stub, customer_id)
    merge = (await stub.MergeContacts(merging(ids[0], ids[1]))).merge
    assert list(merge.contact_ids) == ids[1:2]
    shown = {contact.id: contact for contact in await listed(stub, customer_id)}
    assert shown.keys() == {ids[0], ids[2]}
    zhou = shown[ids[0]]
    assert (zhou.name, zhou.phone, zhou.post, zhou.email) == ("周伟", "138 0013 8000", "CTO", "Zhou@a.cn")
    assert zhou == merge.into
    assert await duplicates(stub, customer_id) == []

    await contacts_come(services, key, ZHOU, ZHOU_AGAIN | {"email": "new@a.cn", "wechat_id": "other"})
    zhou = next(contact for contact in await listed(stub, customer_id) if contact.id == ids[0])
    assert (zhou.email, zhou.wechat_id) == ("new@a.cn", "zhouwei")
    await contacts_come(services, key, ZHOU, ZHOU_AGAIN)

    back = (await stub.UndoMerge(undoing(merge.id))).contacts
    assert [contact.id for contact in back] == ids[1:2]
    for one in (after := await listed(stub, customer_id)):
        one.ClearField("version")
    for one in before:
        one.ClearField("version")
    assert after == before
    assert await duplicates(stub, customer_id) == [([ids[0], ids[1]], ["phone"])]


async def test_the_same_merge_asked_for_twice_is_one_merge(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN)
    request = merging(ids[0], ids[1])
    first, second = (await stub.MergeContacts(request)).merge, (await stub.MergeContacts(request)).merge
    assert first == second
    customer_id = (await by_external_id(services, key)).id
    assert list((await stub.ListMerges(pb.ListMergesRequest(customer_id=customer_id))).merges) == [first]


async def test_of_merges_in_a_row_the_last_one_is_undone_first(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN, LI)
    customer_id = (await by_external_id(services, key)).id
    first = (await stub.MergeContacts(merging(ids[0], ids[1]))).merge
    second = (await stub.MergeContacts(merging(ids[2], ids[0]))).merge
    [shown] = await listed(stub, customer_id)
    assert (shown.id, shown.phone, shown.post) == (ids[2], "138 0013 8000", "CFO")

    answer = await refused(stub.UndoMerge(undoing(first.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "MERGED_AGAIN")
    assert ids[0] in answer.message
    await stub.UndoMerge(undoing(second.id))
    zhou = next(contact for contact in await listed(stub, customer_id) if contact.id == ids[0])
    assert zhou.post == "CTO"
    await stub.UndoMerge(undoing(first.id))
    assert {contact.id for contact in await listed(stub, customer_id)} == {*ids}
    answer = await refused(stub.UndoMerge(undoing(first.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "MERGE_UNDONE")


async def test_contacts_of_two_customers_are_never_one(services: RunningServices, stub: Any) -> None:
    _, ids = await customer_with(services, ZHOU)
    _, others = await customer_with(services, ZHOU)
    apart = pb.KeepApartRequest(request_id=fresh(), contact_ids=[*ids, *others])
    for call in (stub.MergeContacts(merging(ids[0], others[0])), stub.KeepApart(apart)):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "CONTACTS_OF_TWO_CUSTOMERS")
    answer = await refused(stub.MergeContacts(merging(ids[0], ids[0])))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("contact_ids",))


async def test_a_merged_contact_is_not_merged_or_changed_again(services: RunningServices, stub: Any) -> None:
    _, ids = await customer_with(services, ZHOU, ZHOU_AGAIN, LI, ours=["post"])
    await stub.MergeContacts(merging(ids[0], ids[1]))
    change = pb.UpdateContactRequest(request_id=fresh(), contact_id=ids[1], values={"post": "CEO"})
    for call in (stub.MergeContacts(merging(ids[2], ids[1])), stub.UpdateContact(change)):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "CONTACT_NOT_FOUND")


async def test_only_who_sees_the_customer_merges_its_contacts(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN)
    stranger = await colleague(services)
    theirs = await services.stub(ContactsServiceStub, f"employee:{stranger.login}")
    merge = (await stub.MergeContacts(merging(ids[0], ids[1]))).merge
    for call, reason in (
        (theirs.UndoMerge(undoing(merge.id)), "MERGE_NOT_FOUND"),
        (theirs.MergeContacts(merging(ids[0], ids[1])), "CONTACT_NOT_FOUND"),
        (theirs.KeepApart(pb.KeepApartRequest(request_id=fresh(), contact_ids=ids)), "CONTACT_NOT_FOUND"),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", reason)
    await own(services, key, stranger.login)
    assert (await theirs.UndoMerge(undoing(merge.id))).contacts


async def test_duplicates_of_all_customers_come_in_pages(services: RunningServices, stub: Any) -> None:
    owner, wanted = await colleague(services), []
    for _ in range(3):
        key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN, LI, {**LI, "email": "", "name": " 李 娜"})
        await own(services, key, owner.login)
        wanted += [(ids[:2], ["phone"]), (ids[2:], ["name"])]
    mine = await services.stub(ContactsServiceStub, f"employee:{owner.login}")
    seen, request = [], pb.ListDuplicatesRequest(page_size=1)
    while True:
        answer = await mine.ListDuplicates(request)
        seen += [([contact.id for contact in group.contacts], list(group.alike_in)) for group in answer.groups]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert sorted(seen) == sorted(wanted)


async def test_only_what_its_source_leaves_to_us_is_changed(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ours=["post", "email"])

    def change(**values: str) -> pb.UpdateContactRequest:
        return pb.UpdateContactRequest(request_id=fresh(), contact_id=ids[0], values=values)

    answer = await refused(stub.UpdateContact(change(post="CEO", phone="13900139000")))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "FIELD_NOT_OURS")
    assert answer.fields == ("values[phone]",)
    contact = (await stub.UpdateContact(change(post="CEO", email="zhou@a.cn"))).contact
    assert (contact.post, contact.email, contact.version) == ("CEO", "zhou@a.cn", 2)
    await contacts_come(services, key, {**ZHOU, "post": "CTO", "phone": "13900139000"}, ours=["post", "email"])
    [contact] = await listed(stub, contact.customer_id)
    assert (contact.post, contact.phone) == ("CEO", "13900139000")

    stale = change(post="")
    stale.version = 2
    answer = await refused(stub.UpdateContact(stale))
    assert (answer.code, answer.reason) == ("ABORTED", "VERSION_CHANGED")


@pytest.mark.parametrize(
    ("field", "value"), [("email", "no-address"), ("phone", "call me"), ("name", " "), ("id", "1")]
)
async def test_a_wrong_value_is_refused_without_being_repeated(
    services: RunningServices, stub: Any, field: str, value: str
) -> None:
    _, ids = await customer_with(services, ZHOU, ours=["name", "phone", "email"])
    request = pb.UpdateContactRequest(request_id=fresh(), contact_id=ids[0], values={field: value})
    answer = await refused(stub.UpdateContact(request))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "VALUE_WRONG")
    assert answer.fields == (f"values[{field}]",)
    assert not value.strip() or value not in answer.message


async def test_a_field_that_was_emptied_by_hand_borrows_nothing(services: RunningServices, stub: Any) -> None:
    _, ids = await customer_with(services, {**ZHOU, "post": "CEO"}, ZHOU_AGAIN, ours=["post"])
    request = pb.UpdateContactRequest(request_id=fresh(), contact_id=ids[0], values={"post": ""})
    await stub.UpdateContact(request)
    assert (await stub.MergeContacts(merging(ids[0], ids[1]))).merge.into.post == ""


async def test_the_timeline_tells_of_contacts_by_their_ids(services: RunningServices, stub: Any) -> None:
    key, ids = await customer_with(services, ZHOU, ZHOU_AGAIN, ours=["post"])
    merge = (await stub.MergeContacts(merging(ids[0], ids[1]))).merge
    await stub.UndoMerge(undoing(merge.id))
    await stub.UpdateContact(pb.UpdateContactRequest(request_id=fresh(), contact_id=ids[0], values={"post": "CEO"}))
    timeline = await services.stub(TimelineServiceStub)
    request = timeline_pb.ListTimelineRequest(
        customer_id=(await by_external_id(services, key)).id, kinds=[timeline_pb.TIMELINE_KIND_CONTACT]
    )
    entries = (await timeline.ListTimeline(request)).entries
    assert [(entry.what, entry.object_id) for entry in entries[:3]] == [
        ("changed", ids[0]), ("parted", ids[0]), ("merged", ids[0])
    ]  # fmt: skip
    assert entries[2].facts == {"merge_id": merge.id}
    assert [(change.field, change.before, change.after) for change in entries[0].changes] == [("post", "", "CEO")]
