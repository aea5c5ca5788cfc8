"""Tags are put on customers and taken off, on all of the named ones or on none."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import tags_service_pb2 as tags_pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
from services.shared.audit.tables import audit
from tests.support.customers import bring, by_external_id, colleague, fresh, own, told
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(TagsServiceStub)


@pytest.fixture
async def keys(services: RunningServices, stub: Any) -> list[str]:
    """The external ids of three new customers, which are their names as well."""
    mark = fresh("Tag")
    found = [f"{mark}-{n}" for n in range(3)]
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in found])
    return found


async def ids_of(services: RunningServices, keys: list[str]) -> list[str]:
    return [(await by_external_id(services, key)).id for key in keys]


def tagging(tag: str, ids: list[str], **more: Any) -> tags_pb.TagCustomersRequest:
    return tags_pb.TagCustomersRequest(request_id=fresh(), tag=tag, customer_ids=ids, **more)


async def tagged(services: RunningServices, tag: str, who: str = "employee:admin", **asked: Any) -> list[str]:
    stub = await services.stub(CustomersServiceStub, who)
    listed = await stub.ListCustomers(pb.ListCustomersRequest(filter=pb.CustomerFilter(tags=[tag], **asked)))
    counted = await stub.CountCustomers(pb.CountCustomersRequest(filter=pb.CustomerFilter(tags=[tag], **asked)))
    assert counted.customers == len(listed.customers)
    return [customer.name for customer in listed.customers]


async def test_tags_go_on_and_come_off_and_lists_are_filtered_by_them(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, tag = await ids_of(services, keys), fresh("重点")
    before = await told(services, keys[0])
    assert (await stub.TagCustomers(tagging(tag, ids[:2]))).changed == 2
    assert (await stub.TagCustomers(tagging(tag, ids))).changed == 1
    assert (await stub.TagCustomers(tagging("a", ids[:1]))).changed == 1
    assert await tagged(services, tag) == keys
    assert list((await by_external_id(services, keys[0])).tags) == ["a", tag]

    assert (await stub.TagCustomers(tagging(tag, ids[1:], remove=True))).changed == 2
    assert await tagged(services, tag) == keys[:1]
    assert (await stub.TagCustomers(tagging(tag, ids[1:], remove=True))).changed == 0
    assert await told(services, keys[0]) == before  # tags are no facts that others keep


async def test_a_tagged_customer_stays_in_its_place_when_it_is_renamed(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    owner, tag = await colleague(services), fresh("tag")
    await stub.TagCustomers(tagging(tag, await ids_of(services, keys)))
    for key in keys:
        await own(services, key, owner.login)
    await bring(services, "ImportCustomers", [{"external_id": keys[0], "name": f"{keys[0]} at the end".lower()}])
    wanted = [keys[1], keys[2], f"{keys[0]} at the end".lower()]
    assert await tagged(services, tag) == wanted
    assert await tagged(services, tag, who=f"employee:{owner.login}") == wanted


async def test_the_same_request_again_is_answered_again(services: RunningServices, stub: Any, keys: list[str]) -> None:
    request = tagging(fresh(), await ids_of(services, keys))
    assert (await stub.TagCustomers(request)).changed == 3
    await stub.TagCustomers(tagging(request.tag, list(request.customer_ids), remove=True))
    assert (await stub.TagCustomers(request)).changed == 3
    assert await tagged(services, request.tag) == []


async def test_nothing_is_tagged_where_one_customer_is_unknown_or_out_of_scope(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, tag, owner = await ids_of(services, keys), fresh(), await colleague(services)
    await own(services, keys[0], owner.login)
    me = f"employee:{owner.login}"
    mine = await services.stub(TagsServiceStub, me)
    nowhere = "00000000-0000-7000-8000-000000000000"
    for caller, asked, named in ((mine, [*ids, nowhere], ids[1]), (stub, [ids[0], nowhere, ids[1]], nowhere)):
        answer = await refused(caller.TagCustomers(tagging(tag, asked)))
        assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
        assert named in answer.message
        assert await tagged(services, tag) == []
    assert (await mine.TagCustomers(tagging(tag, ids[:1]))).changed == 1
    assert await tagged(services, tag, who=me) == keys[:1]


async def test_a_customer_carries_at_most_50_tags(services: RunningServices, stub: Any, keys: list[str]) -> None:
    ids = await ids_of(services, keys)
    for number in range(50):
        await stub.TagCustomers(tagging(f"t{number}", ids[:1]))
    answer = await refused(stub.TagCustomers(tagging("one more", ids)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "TOO_MANY_TAGS")
    assert ids[0] in answer.message
    assert not (await by_external_id(services, keys[1])).tags
    assert (await stub.TagCustomers(tagging("t0", ids))).changed == 2


async def test_tags_put_on_and_taken_off_at_once_leave_one_state(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, tag = await ids_of(services, keys), fresh()
    calls = [tagging(tag, ids[:: 1 if n % 3 else -1], remove=bool(n % 2)) for n in range(20)]
    await asyncio.gather(*(stub.TagCustomers(call) for call in calls))
    carrying = [key for key in keys if tag in (await by_external_id(services, key)).tags]
    assert await tagged(services, tag) == carrying
    assert carrying in ([], keys)


@pytest.mark.parametrize("tag", ["", " x", "x ", "x" * 51, "a\nb"])
async def test_what_is_no_tag_is_refused(stub: Any, tag: str) -> None:
    answer = await refused(stub.TagCustomers(tagging(tag, ["00000000-0000-7000-8000-000000000000"])))
    assert (answer.code, set(answer.fields)) == ("INVALID_ARGUMENT", {"tag"})


async def test_the_audit_tells_whose_tags_were_changed(services: RunningServices, stub: Any, keys: list[str]) -> None:
    ids = await ids_of(services, keys)
    one, many = tagging("one", ids[:1]), tagging("many", ids)
    for request in (one, many):
        await stub.TagCustomers(request)
    query = select(audit).where(audit.c.request_id.in_([one.request_id, many.request_id])).order_by(audit.c.position)
    async with services.db("customers").read() as read:
        single, several = (await read.execute(query)).all()
    assert (single.object_id, single.customer_id) == (ids[0], ids[0])
    assert (several.customer_id, several.change["customer_ids"]) == ("", ids)
