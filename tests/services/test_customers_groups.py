"""Groups: people keep lists of customers, which lists are filtered by."""

from typing import Any

import pytest

from kejing.common.v1 import condition_pb2
from kejing.customers.v1 import customers_service_pb2, segments_service_pb2, timeline_service_pb2
from kejing.customers.v1 import tags_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.segments_service_pb2_grpc import SegmentsServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import GroupsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.refusals import refused
from tests.support.services import RunningServices

NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(GroupsServiceStub)


@pytest.fixture
async def keys(services: RunningServices, stub: Any) -> list[str]:
    """The external ids of three new customers, which are their names as well."""
    mark = fresh("Group")
    found = [f"{mark}-{number}" for number in range(3)]
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in found])
    return found


async def ids_of(services: RunningServices, keys: list[str]) -> list[str]:
    return [(await by_external_id(services, key)).id for key in keys]


async def new_group(stub: Any) -> Any:
    return (await stub.CreateGroup(pb.CreateGroupRequest(request_id=fresh(), name=fresh("group")))).group


def grouping(group_id: str, ids: list[str], **more: Any) -> pb.GroupCustomersRequest:
    return pb.GroupCustomersRequest(request_id=fresh(), group_id=group_id, customer_ids=ids, **more)


async def members(services: RunningServices, group_id: str, who: str = "employee:admin") -> list[str]:
    customers = await services.stub(CustomersServiceStub, who)
    asked = customers_service_pb2.ListCustomersRequest(filter=customers_service_pb2.CustomerFilter(group_id=group_id))
    return [customer.name for customer in (await customers.ListCustomers(asked)).customers]


async def counted(stub: Any, group_id: str) -> int | None:
    request = pb.ListGroupsRequest(page_size=3)
    while True:
        answer = await stub.ListGroups(request)
        for group in answer.groups:
            if group.id == group_id:
                return int(group.customers)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return None


async def test_customers_come_into_a_group_and_leave_it_and_lists_are_filtered_by_it(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, group, owner = await ids_of(services, keys), await new_group(stub), await colleague(services)
    await own(services, keys[0], owner.login)
    request = grouping(group.id, ids)
    assert (await stub.GroupCustomers(request)).changed == 3
    assert (await stub.GroupCustomers(grouping(group.id, ids[2:], remove=True))).changed == 1
    assert (await stub.GroupCustomers(request)).changed == 3
    assert await members(services, group.id) == keys[:2]
    assert await members(services, group.id, f"employee:{owner.login}") == keys[:1]
    assert await counted(stub, group.id) == 2
    assert await counted(await services.stub(GroupsServiceStub, f"employee:{owner.login}"), group.id) == 1
    timeline = await services.stub(TimelineServiceStub)
    kinds = [timeline_service_pb2.TIMELINE_KIND_GROUP]
    told = await timeline.ListTimeline(timeline_service_pb2.ListTimelineRequest(customer_id=ids[2], kinds=kinds))
    assert [(entry.what, entry.object_id) for entry in told.entries] == [("left", group.id), ("entered", group.id)]


async def test_nothing_is_grouped_where_a_customer_or_the_group_is_unknown(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, group = await ids_of(services, keys), await new_group(stub)
    for request, reason in (
        (grouping(group.id, [*ids, NOWHERE]), "CUSTOMER_NOT_FOUND"), (grouping(NOWHERE, ids), "GROUP_NOT_FOUND")
    ):  # fmt: skip
        answer = await refused(stub.GroupCustomers(request))
        assert (answer.code, answer.reason) == ("NOT_FOUND", reason)
    assert await members(services, group.id) == []


async def test_two_groups_never_have_one_name(stub: Any) -> None:
    first, second = await new_group(stub), await new_group(stub)
    create = pb.CreateGroupRequest(request_id=fresh(), name=first.name)
    rename = pb.UpdateGroupRequest(request_id=fresh(), group_id=second.id, name=first.name, version=1)
    for call in (stub.CreateGroup(create), stub.UpdateGroup(rename)):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "GROUP_EXISTS")


async def test_a_group_is_renamed_by_who_read_its_present_version(stub: Any) -> None:
    group, name = await new_group(stub), fresh("group")
    request = pb.UpdateGroupRequest(request_id=fresh(), group_id=group.id, name=name, description="why", version=1)
    changed = (await stub.UpdateGroup(request)).group
    assert (changed.name, changed.description, changed.version) == (name, "why", 2)
    assert (await stub.UpdateGroup(request)).group == changed
    request.request_id = fresh()
    answer = await refused(stub.UpdateGroup(request))
    assert (answer.code, answer.reason) == ("ABORTED", "VERSION_CHANGED")


async def test_a_group_ends_and_its_customers_stay(services: RunningServices, stub: Any, keys: list[str]) -> None:
    group = await new_group(stub)
    await stub.GroupCustomers(grouping(group.id, await ids_of(services, keys)))
    request = pb.DeleteGroupRequest(request_id=fresh(), group_id=group.id)
    await stub.DeleteGroup(request)
    await stub.DeleteGroup(request)
    assert await members(services, group.id) == []
    assert await counted(stub, group.id) is None
    assert (await by_external_id(services, keys[0])).name == keys[0]
    answer = await refused(stub.DeleteGroup(pb.DeleteGroupRequest(request_id=fresh(), group_id=group.id)))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "GROUP_NOT_FOUND")


async def test_a_group_that_a_segment_asks_for_does_not_end(services: RunningServices, stub: Any) -> None:
    group = await new_group(stub)
    asked = condition_pb2.Comparison(field="groups", operator=condition_pb2.OPERATOR_CONTAINS, value=group.id)
    segments = await services.stub(SegmentsServiceStub)
    await segments.CreateSegment(
        segments_service_pb2.CreateSegmentRequest(
            request_id=fresh(), name=fresh("segment"), condition=condition_pb2.Condition(comparison=asked)
        )
    )
    answer = await refused(stub.DeleteGroup(pb.DeleteGroupRequest(request_id=fresh(), group_id=group.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "GROUP_IN_USE")
