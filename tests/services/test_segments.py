"""Segments: customers are in them from the moment at which their condition holds, and everybody can see why."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kejing.common.v1 import condition_pb2
from kejing.common.v1.condition_pb2 import Comparison, Condition, Conditions
from kejing.customers.v1 import (
    attributes_service_pb2,
    attributes_service_pb2_grpc,
    tags_service_pb2,
    timeline_service_pb2,
)
from kejing.customers.v1 import customers_service_pb2 as customers
from kejing.customers.v1 import segments_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.segments_service_pb2_grpc import SegmentsServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import GroupsServiceStub, TagsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from services.customers.storage import segments as stored
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices

MIDNIGHT = datetime(2032, 3, 9, 16, 0, tzinfo=UTC)
"""Of the business time zone, Asia/Shanghai: 2032-03-10 begins."""


@pytest.fixture
async def stub(services: RunningServices) -> AsyncIterator[Any]:
    stub = await services.stub(SegmentsServiceStub)
    yield stub
    for segment in (await stub.ListSegments(pb.ListSegmentsRequest(page_size=500))).segments:
        await stub.DeleteSegment(pb.DeleteSegmentRequest(request_id=fresh(), segment_id=segment.id))


@pytest.fixture
def region() -> str:
    """Of the customers of one test, so that no other test's are in its segments."""
    return fresh("region")


def asked(field: str, operator: str, value: str = "", *values: str) -> Condition:
    number = condition_pb2.Operator.Value(f"OPERATOR_{operator}")
    return Condition(comparison=Comparison(field=field, operator=number, value=value, values=values))


def every(*parts: Condition) -> Condition:
    return Condition(all=Conditions(conditions=parts))


def creation(condition: Condition, name: str = "") -> pb.CreateSegmentRequest:
    return pb.CreateSegmentRequest(request_id=fresh(), name=name or fresh("Segment"), condition=condition)


async def defined(stub: Any, *parts: Condition) -> pb.Segment:
    segment = (await stub.CreateSegment(creation(every(*parts)))).segment
    assert segment.ready
    return segment  # type: ignore[no-any-return]


async def brought(services: RunningServices, region: str, **rows: dict[str, Any]) -> None:
    """Customers of a region by their external ids, which are their names as well."""
    fields = {name for row in rows.values() for name in row}
    blank = dict.fromkeys(fields, "")
    await bring(services, "ImportCustomers", [
        {"external_id": f"{region}-{key}", "name": f"{region}-{key}", "region": region, **blank, **row}
        for key, row in rows.items()
    ])  # fmt: skip


async def members(
    services: RunningServices, segment: pb.Segment, who: str = "employee:admin", **filter_: Any
) -> list[str]:
    stub = await services.stub(CustomersServiceStub, who)
    asked_for = customers.CustomerFilter(segment_id=segment.id, **filter_)
    found = (await stub.ListCustomers(customers.ListCustomersRequest(filter=asked_for))).customers
    counted = await stub.CountCustomers(customers.CountCustomersRequest(filter=asked_for))
    assert counted.customers == len(found)
    return [customer.name.rpartition("-")[2] for customer in found]


async def entries(services: RunningServices, customer_id: str) -> list[tuple[str, str]]:
    """(what, segment) of a customer's timeline, the newest first."""
    stub = await services.stub(TimelineServiceStub)
    wanted = timeline_service_pb2.ListTimelineRequest(
        customer_id=customer_id, kinds=[timeline_service_pb2.TIMELINE_KIND_SEGMENT]
    )
    return [(entry.what, entry.object_id) for entry in (await stub.ListTimeline(wanted)).entries]


async def test_customers_come_in_and_go_out_as_their_facts_change(
    services: RunningServices, stub: Any, region: str
) -> None:
    await brought(services, region, a={"seats": 9}, b={"seats": 50}, c={})
    segment = await defined(stub, asked("region", "EQUAL", region.upper()), asked("seats", "GREATER_OR_EQUAL", "50"))
    assert await members(services, segment) == ["b"]
    await brought(services, region, a={"seats": 60}, b={"seats": 49}, d={"seats": 70})
    assert await members(services, segment) == ["a", "d"]
    a, b = [(await by_external_id(services, f"{region}-{key}")).id for key in "ab"]
    assert await entries(services, a) == [("entered", segment.id)]
    assert await entries(services, b) == [("left", segment.id)]  # that it was in at the definition is nobody's doing


async def test_conditions_ask_of_tags_groups_and_attributes(services: RunningServices, stub: Any, region: str) -> None:
    key, tag = fresh("attr").replace("-", "_"), fresh("重点")
    definitions = await services.stub(attributes_service_pb2_grpc.AttributesServiceStub)
    await definitions.CreateAttribute(
        attributes_service_pb2.CreateAttributeRequest(
            request_id=fresh(),
            attribute=attributes_service_pb2.Attribute(
                key=key, label="Budget", purpose="Segments", type=attributes_service_pb2.ATTRIBUTE_TYPE_NUMBER
            ),
        )
    )
    await brought(services, region, a={key: "120.5"}, b={key: "90"}, c={})
    here = asked("region", "EQUAL", region)
    rich = await defined(stub, here, asked(f"attribute.{key}", "GREATER", "100"))
    tagged = await defined(stub, here, asked("tags", "CONTAINS", tag))
    untagged = await defined(stub, here, Condition(negated=asked("tags", "ONE_OF", "", tag, "other")))
    groups = await services.stub(GroupsServiceStub)
    group = (await groups.CreateGroup(tags_service_pb2.CreateGroupRequest(request_id=fresh(), name=fresh("G")))).group
    grouped = await defined(stub, here, asked("groups", "CONTAINS", group.id))
    assert await members(services, rich) == ["a"]
    assert (await members(services, tagged), await members(services, untagged)) == ([], ["a", "b", "c"])

    ids = [(await by_external_id(services, f"{region}-{each}")).id for each in "ab"]
    tags = await services.stub(TagsServiceStub)
    await tags.TagCustomers(tags_service_pb2.TagCustomersRequest(request_id=fresh(), tag=tag, customer_ids=ids))
    await groups.GroupCustomers(
        tags_service_pb2.GroupCustomersRequest(request_id=fresh(), group_id=group.id, customer_ids=ids[:1])
    )
    assert (await members(services, tagged), await members(services, untagged)) == (["a", "b"], ["c"])
    assert await members(services, grouped) == ["a"]
    # A segment is one filter among others.
    assert await members(services, tagged, group_id=group.id) == ["a"]
    assert await members(services, rich, without_tags=[tag]) == []


async def test_what_speaks_of_today_follows_the_days(services: RunningServices, stub: Any, region: str) -> None:
    await brought(services, region, a={"last_contract_end": "2032-03-10"}, b={"last_contract_end": "2032-06-10"})
    machine = await services.stub(SegmentsServiceStub, "machine:processes")

    async def refresh() -> int:
        changed, token = 0, ""
        while True:
            answer = await machine.RefreshSegments(pb.RefreshSegmentsRequest(page_token=token))
            changed, token = changed + answer.changed, answer.next_page_token
            if not token:
                return changed

    try:
        services.clock.set(MIDNIGHT - timedelta(seconds=30))
        here = asked("region", "EQUAL", region)
        ending = await defined(stub, here, asked("last_contract_end", "LESS_OR_EQUAL", "today+92"))
        churned = await defined(stub, here, asked("churned", "EQUAL", "true"))
        assert (await members(services, ending), await members(services, churned)) == (["a"], [])
        assert await refresh() == 0
        services.clock.set(MIDNIGHT)
        assert await refresh() == 1
        assert await members(services, ending) == ["a", "b"]
        services.clock.set(MIDNIGHT + timedelta(days=1))
        await refresh()
        assert await members(services, churned, view=customers.CUSTOMER_VIEW_CHURNED) == ["a"]
    finally:
        services.clock.shift = timedelta()


async def test_a_customer_is_told_why(services: RunningServices, stub: Any, region: str) -> None:
    await brought(services, region, a={"seats": 9})
    any_of = Condition(any=Conditions(conditions=[asked("seats", "GREATER", "5"), asked("industry", "KNOWN")]))
    here = asked("region", "STARTS_WITH", "REGION")
    customer = await by_external_id(services, f"{region}-a")

    async def why(segment: pb.Segment) -> tuple[bool | None, list[tuple[str, str, bool | None, bool]]]:
        request = pb.ExplainSegmentRequest(segment_id=segment.id, customer_id=customer.id)
        found = await stub.ExplainSegment(request)
        reasons = [
            (r.comparison.field, r.value, r.holds if r.HasField("holds") else None, r.decisive) for r in found.reasons
        ]
        return found.holds if found.HasField("holds") else None, reasons

    assert await why(await defined(stub, here, any_of)) == (
        True, [("region", region, True, True), ("seats", "9", True, True), ("industry", "", False, False)]
    )  # fmt: skip
    unknown = await defined(stub, here, asked("short_name", "NOT_EQUAL", "x"))
    assert await why(unknown) == (None, [("region", region, True, False), ("short_name", "", None, True)])
    assert await members(services, unknown) == []


async def test_a_changed_condition_finds_its_customers_anew(services: RunningServices, stub: Any, region: str) -> None:
    await brought(services, region, a={"seats": 1}, b={"seats": 2})
    here = asked("region", "EQUAL", region)
    segment = await defined(stub, here, asked("seats", "EQUAL", "1"))
    change = pb.UpdateSegmentRequest(
        request_id=fresh(), segment_id=segment.id, name=segment.name, version=segment.version,
        condition=every(here, asked("seats", "ONE_OF", "", "2", "3")),
    )  # fmt: skip
    changed = (await stub.UpdateSegment(change)).segment
    assert (changed.version, changed.ready) == (2, True)
    assert await members(services, segment) == ["b"]
    change.request_id = fresh()
    assert (await refused(stub.UpdateSegment(change))).reason == "VERSION_CHANGED"


async def test_who_is_in_is_found_step_by_step_whoever_goes_on(
    services: RunningServices, stub: Any, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await brought(services, region, **{f"n{number}": {"seats": 1} for number in range(5)})
    monkeypatch.setattr(stored, "AT_ONCE", 2)
    monkeypatch.setattr("services.customers.api.segments.FOUND_AT_ONCE_SECONDS", -1.0)
    segment = (await stub.CreateSegment(creation(asked("region", "EQUAL", region)))).segment
    assert not segment.ready

    async def is_ready() -> bool:
        return bool((await stub.GetSegment(pb.GetSegmentRequest(segment_id=segment.id))).segment.ready)

    await eventually(is_ready)
    assert len(await members(services, segment)) == 5


async def test_an_ended_segment_is_gone_and_its_labels_with_it(
    services: RunningServices, stub: Any, region: str
) -> None:
    await brought(services, region, a={})
    segment = await defined(stub, asked("region", "EQUAL", region))
    await stub.DeleteSegment(pb.DeleteSegmentRequest(request_id=fresh(), segment_id=segment.id))
    refusal = await refused(stub.GetSegment(pb.GetSegmentRequest(segment_id=segment.id)))
    assert refusal.reason == "SEGMENT_NOT_FOUND"

    async def has_none() -> bool:
        return not await members(services, segment)

    await eventually(has_none)
    await stub.CreateSegment(creation(asked("region", "EQUAL", region), segment.name))  # its name is free again


async def test_everybody_counts_and_sees_the_customers_in_his_scope(
    services: RunningServices, stub: Any, region: str
) -> None:
    await brought(services, region, a={}, b={})
    segment = await defined(stub, asked("region", "EQUAL", region))
    owner = await colleague(services)
    await own(services, f"{region}-b", owner.login)
    his = await services.stub(SegmentsServiceStub, f"employee:{owner.login}")
    listed = {each.id: each.customers for each in (await his.ListSegments(pb.ListSegmentsRequest())).segments}
    assert listed[segment.id] == 1
    assert await members(services, segment, f"employee:{owner.login}") == ["b"]
    previewed = await his.PreviewCondition(pb.PreviewConditionRequest(condition=asked("region", "EQUAL", region)))
    assert (previewed.customers, previewed.more, previewed.estimated) == (1, False, False)
    other = await by_external_id(services, f"{region}-a")
    request = pb.ExplainSegmentRequest(segment_id=segment.id, customer_id=other.id)
    assert (await refused(his.ExplainSegment(request))).reason == "CUSTOMER_NOT_FOUND"


async def test_a_count_that_would_take_long_is_an_estimate(
    services: RunningServices, stub: Any, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await brought(services, region, a={}, b={})
    monkeypatch.setattr("services.customers.storage.preview.PATIENCE_SECONDS", 0.0)
    found = await stub.PreviewCondition(pb.PreviewConditionRequest(condition=asked("region", "EQUAL", region)))
    assert found.estimated


async def test_the_fields_say_how_they_may_be_asked(stub: Any) -> None:
    fields = {each.key: each for each in (await stub.ListConditionFields(pb.ListConditionFieldsRequest())).fields}
    assert fields["region"].type == condition_pb2.FIELD_TYPE_TEXT
    assert condition_pb2.OPERATOR_STARTS_WITH in fields["region"].operators
    assert "AT_RISK" in fields["health"].options
    assert {"tags", "groups", "churned", "days_since_touch", "last_contract_end"} <= fields.keys()


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (asked("mood", "EQUAL", "good"), "CONDITION_FIELD_UNKNOWN"),
        (asked("region", "GREATER", "x"), "CONDITION_OPERATOR_WRONG"),
        (asked("seats", "EQUAL", "many"), "CONDITION_VALUE_WRONG"),
        (asked("last_contract_end", "LESS", "tomorrow"), "CONDITION_VALUE_WRONG"),
        (asked("health", "EQUAL", "GREAT"), "CONDITION_VALUE_WRONG"),
        (asked("tags", "ONE_OF"), "CONDITION_VALUE_WRONG"),
        (asked("seats", "KNOWN", "1"), "CONDITION_VALUE_WRONG"),
        (every(asked("seats", "LESS", "3"), asked("seats", "GREATER", "2")), "CONDITION_IMPOSSIBLE"),
        (every(asked("region", "EQUAL", "x"), asked("region", "STARTS_WITH", "y")), "CONDITION_IMPOSSIBLE"),
    ],
)
async def test_what_can_not_be_meant_is_refused(stub: Any, condition: Condition, reason: str) -> None:
    assert (await refused(stub.CreateSegment(creation(condition)))).reason == reason


async def test_names_are_unique_and_repeats_are_answered_again(stub: Any) -> None:
    request = creation(asked("region", "EQUAL", "x"))
    first = (await stub.CreateSegment(request)).segment
    assert (await stub.CreateSegment(request)).segment == first
    request.request_id = fresh()
    assert (await refused(stub.CreateSegment(request))).reason == "SEGMENT_EXISTS"
