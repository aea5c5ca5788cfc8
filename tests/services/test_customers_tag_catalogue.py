"""Tags are described, listed with how often they are given, and known to go together; each reader sees what is his."""

from typing import Any

import pytest

from kejing.customers.v1 import tags_service_pb2 as pb
from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(TagsServiceStub)


async def new_customers(services: RunningServices, many: int) -> tuple[list[str], list[str]]:
    """The external ids of new customers, and their ids."""
    keys = [f"{fresh()}-{number}" for number in range(many)]
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in keys])
    return keys, [(await by_external_id(services, key)).id for key in keys]


async def put(stub: Any, tag: str, ids: list[str]) -> None:
    await stub.TagCustomers(pb.TagCustomersRequest(request_id=fresh(), tag=tag, customer_ids=ids))


async def describe(stub: Any, tag: str, **said: Any) -> Any:
    return (await stub.DescribeTag(pb.DescribeTagRequest(request_id=fresh(), tag=tag, **said))).tag


async def listed(stub: Any, size: int = 2, **asked: str) -> list[tuple[str, int]]:
    """All tags with how many customers carry them, page by page."""
    request, found = pb.ListTagsRequest(page_size=size, **asked), []
    while True:
        answer = await stub.ListTags(request)
        found += [(tag.tag, tag.customers) for tag in answer.tags]
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


async def test_a_customers_tags_say_by_whom_and_when_and_the_weightiest_comes_first(
    services: RunningServices, stub: Any
) -> None:
    _, ids = await new_customers(services, 1)
    light, heavy = fresh("a"), fresh("b")
    await put(stub, light, ids)
    await put(stub, heavy, ids)
    await describe(stub, heavy, category="风险", weight=50, meaning="may leave")
    [first, second] = (await stub.ListCustomerTags(pb.ListCustomerTagsRequest(customer_id=ids[0]))).tags
    assert (first.tag, first.category, first.weight) == (heavy, "风险", 50)
    assert (second.tag, second.category, second.weight) == (light, "", 0)
    assert first.given_by
    assert second.given_at.ToDatetime() <= first.given_at.ToDatetime()


async def test_tags_are_listed_with_how_many_customers_of_the_reader_carry_them(
    services: RunningServices, stub: Any
) -> None:
    keys, ids = await new_customers(services, 3)
    mark, owner = fresh("tag"), await colleague(services)
    await put(stub, f"{mark}-a", ids)
    await put(stub, f"{mark}-b", ids[2:])
    await put(stub, f"{mark}-c", ids[:1])
    await describe(stub, f"{mark}-d", category=mark)
    for role in ("CSM", "ANALYST"):
        await own(services, keys[0], owner.login, role)
    assert await listed(stub, prefix=mark) == [(f"{mark}-a", 3), (f"{mark}-b", 1), (f"{mark}-c", 1), (f"{mark}-d", 0)]
    mine = await services.stub(TagsServiceStub, f"employee:{owner.login}")
    assert await listed(mine, prefix=mark) == [(f"{mark}-a", 1), (f"{mark}-c", 1), (f"{mark}-d", 0)]
    assert await listed(mine, category=mark) == [(f"{mark}-d", 0)]


async def test_what_is_said_of_a_tag_is_replaced_and_forgotten(stub: Any) -> None:
    tag = fresh("tag")
    request = pb.DescribeTagRequest(request_id=fresh(), tag=tag, category="风险", weight=-10)
    assert (await stub.DescribeTag(request)).tag.weight == -10
    assert (await stub.DescribeTag(request)).tag.weight == -10
    assert (await describe(stub, tag, meaning="other")).category == ""
    assert await listed(stub, prefix=tag) == [(tag, 0)]
    assert await describe(stub, tag) == pb.Tag(tag=tag)
    assert await listed(stub, prefix=tag) == []


async def test_tags_that_go_together_are_found_among_the_readers_customers(
    services: RunningServices, stub: Any
) -> None:
    keys, ids = await new_customers(services, 3)
    mark, owner = fresh("tag"), await colleague(services)
    await put(stub, f"{mark}-a", ids)
    await put(stub, f"{mark}-b", ids[1:])
    await put(stub, f"{mark}-c", ids[:1])
    await own(services, keys[0], owner.login)

    async def related(caller: Any, tag: str) -> list[tuple[str, int]]:
        answer = await caller.ListRelatedTags(pb.ListRelatedTagsRequest(tag=tag))
        return [(found.tag, found.customers) for found in answer.tags]

    assert await related(stub, f"{mark}-a") == [(f"{mark}-b", 2), (f"{mark}-c", 1)]
    mine = await services.stub(TagsServiceStub, f"employee:{owner.login}")
    assert await related(mine, f"{mark}-a") == [(f"{mark}-c", 1)]
    assert await related(mine, f"{mark}-b") == []


async def test_tags_of_a_customer_out_of_scope_are_not_found(services: RunningServices) -> None:
    _, ids = await new_customers(services, 1)
    stranger = await colleague(services)
    theirs = await services.stub(TagsServiceStub, f"employee:{stranger.login}")
    answer = await refused(theirs.ListCustomerTags(pb.ListCustomerTagsRequest(customer_id=ids[0])))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
