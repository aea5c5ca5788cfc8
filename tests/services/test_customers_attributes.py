"""Custom attributes: defined, changed, ended, and what is collected at all."""

from typing import Any

import pytest
from sqlalchemy import update

from kejing.customers.v1 import attributes_service_pb2 as pb
from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
from services.customers.domain import collection, fields
from services.customers.storage.tables import customers
from tests.support.attributes import attribute, define, key_of, retire
from tests.support.customers import bring, colleague, fresh, own
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(AttributesServiceStub)


async def hold(services: RunningServices, key: str, values: dict[str, str | None]) -> None:
    """Customers of these names hold these values; None: none."""
    await bring(services, "ImportCustomers", [{"external_id": name, "name": name} for name in values])
    async with services.db("customers").transaction(actor="test", unscoped="a test") as write:
        for name, value in values.items():
            held = {} if value is None else {key: value}
            await write.execute(update(customers).where(customers.c.external_id == name).values(attributes=held))


async def misfits(stub: Any, key: str, **asked: Any) -> list[str]:
    found, token = [], ""
    while True:
        page = await stub.ListMisfits(pb.ListMisfitsRequest(key=key, page_token=token, **asked))
        found += [misfit.reason for misfit in page.misfits]
        token = page.next_page_token
        if not token:
            return found


async def test_an_attribute_is_defined_and_listed_with_its_purpose(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "OPTION", options=["gold", "silver"], label="等级", purpose="服务分级")
    assert (defined.version, list(defined.options), defined.personal) == (1, ["gold", "silver"], False)
    listed = (await stub.ListAttributes(pb.ListAttributesRequest())).attributes
    assert defined in listed
    assert [each.key for each in listed] == sorted(each.key for each in listed)
    collected = (await stub.ListCollectedFields(pb.ListCollectedFieldsRequest())).fields
    [mine] = [field for field in collected if field.key == defined.key]
    assert (mine.of, mine.label[""], mine.purpose[""], mine.custom) == ("customer", "等级", "服务分级", True)


async def test_every_standard_field_that_comes_in_is_collected_for_a_purpose(stub: Any) -> None:
    collected = (await stub.ListCollectedFields(pb.ListCollectedFieldsRequest())).fields
    standard = {(field.of, field.key): field for field in collected if not field.custom}
    taken_in = {("customer", key) for key in fields.CUSTOMER} | {("contact", key) for key in fields.CONTACT}
    assert set(standard) == taken_in
    for field in standard.values():
        assert set(field.label) == set(field.purpose) == {"zh-CN", "en"}
        assert all([*field.label.values(), *field.purpose.values()])
    assert standard["contact", "phone"].personal
    assert not standard["customer", "industry"].personal


def test_what_is_personal_of_individuals_is_said_of_the_fields() -> None:
    assert {key for key, field in collection.CUSTOMER.items() if field.personal} == {
        *collection.PERSONAL_OF_INDIVIDUALS
    }


@pytest.mark.parametrize("kind", ["NATIONAL_ID", "MOBILE", "PHONE", "EMAIL"])
async def test_what_belongs_to_a_person_is_always_personal(services: RunningServices, kind: str) -> None:
    assert (await define(services, kind)).personal


async def test_a_key_is_taken_once(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "TEXT")
    again = await refused(stub.CreateAttribute(attribute("TEXT", key=defined.key)))
    assert (again.code, again.reason) == ("ALREADY_EXISTS", "ATTRIBUTE_EXISTS")


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        ("TEXT", {"key": "region"}, "key"),
        ("TEXT", {"key": "owners"}, "key"),
        ("OPTION", {}, "options"),
        ("TEXT", {"options": ["a"]}, "options"),
        ("OPTION", {"options": [" a"]}, "options"),
        ("NUMBER", {"minimum": "x"}, "minimum"),
        ("NUMBER", {"minimum": "3", "maximum": "-3"}, "maximum"),
        ("DATE", {"maximum": "2026-02-30"}, "maximum"),
        ("TEXT", {"maximum": "501"}, "maximum"),
        ("BOOLEAN", {"minimum": "1"}, "minimum"),
        ("NUMBER", {"pattern": "1+"}, "pattern"),
        ("TEXT", {"pattern": "(a"}, "pattern"),
        ("TEXT", {"pattern": "(?=a)"}, "pattern"),
        ("TEXT", {"pattern": r"(a)\1"}, "pattern"),
    ],
)
async def test_a_definition_that_contradicts_itself_is_refused(
    stub: Any, kind: str, wrong: dict[str, Any], field: str
) -> None:
    answer = await refused(stub.CreateAttribute(attribute(kind, **wrong)))
    assert (answer.code, answer.reason, answer.fields) == (
        "INVALID_ARGUMENT", "ATTRIBUTE_WRONG", (f"attribute.{field}",),
    )  # fmt: skip


async def test_values_that_no_longer_fit_are_counted_and_listed(services: RunningServices, stub: Any) -> None:
    mark = fresh("misfit")
    defined = await define(services, "OPTION", options=["gold", "silver", "tin"])
    await hold(services, defined.key, {f"{mark}-1": "gold", f"{mark}-2": "tin", f"{mark}-3": "tin", f"{mark}-4": None})
    defined.options.remove("tin")
    changed = await stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=defined))
    assert (changed.attribute.version, changed.misfits) == (2, 2)
    assert await misfits(stub, defined.key, page_size=1) == ["it must be one of gold, silver"] * 2


@pytest.mark.parametrize(
    ("kind", "values", "more", "unfit"),
    [
        ("NUMBER", ["-1.5", "0", "9.25", "10"], {"minimum": "0", "maximum": "9.25"}, 2),
        ("DATE", ["2025-12-31", "2026-01-01", "2026-12-31"], {"minimum": "2026-01-01"}, 1),
        ("TEXT", ["a", "abc", "abcd"], {"minimum": "2", "maximum": "3"}, 2),
        ("TEXT", ["AB-1", "ab-1", "AB-12"], {"pattern": "[A-Z]+-[0-9]"}, 2),
    ],
)
async def test_each_kind_of_limit_finds_what_does_not_fit(
    services: RunningServices, stub: Any, kind: str, values: list[str], more: dict[str, str], unfit: int
) -> None:
    mark = fresh("limit")
    defined = await define(services, kind)
    await hold(services, defined.key, {f"{mark}-{value}": value for value in values})
    wanted = attribute(kind, key=defined.key, version=1, **more).attribute
    changed = await stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=wanted))
    assert changed.misfits == unfit
    assert len(await misfits(stub, defined.key)) == unfit


async def test_a_change_is_refused_where_somebody_else_was_faster(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "TEXT")
    await stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=defined))
    again = await refused(stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=defined)))
    assert (again.code, again.reason) == ("ABORTED", "VERSION_CHANGED")


async def test_the_type_changes_only_while_nobody_holds_a_value(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "TEXT")
    await hold(services, defined.key, {fresh("typed"): "x"})
    number = attribute("NUMBER", key=defined.key, version=1).attribute
    answer = await refused(stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=number)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "ATTRIBUTE_IN_USE")


async def test_a_retired_attribute_takes_its_values_along_and_its_key_is_free_again(
    services: RunningServices, stub: Any
) -> None:
    defined = await define(services, "TEXT")
    await hold(services, defined.key, {fresh("retired"): "x", fresh("kept"): None})
    request = pb.RetireAttributeRequest(request_id=fresh(), key=defined.key)
    assert (await stub.RetireAttribute(request)).values == 1
    assert (await stub.RetireAttribute(request)).values == 1
    assert defined.key not in {each.key for each in (await stub.ListAttributes(pb.ListAttributesRequest())).attributes}
    assert (await define(services, "NUMBER", key=defined.key)).version == 1


async def test_an_unknown_attribute_is_not_found(stub: Any) -> None:
    key = key_of("unknown")
    for call in (
        stub.UpdateAttribute(pb.UpdateAttributeRequest(
            request_id=fresh(), attribute=attribute("TEXT", key=key).attribute)),
        stub.RetireAttribute(pb.RetireAttributeRequest(request_id=fresh(), key=key)),
        stub.ListMisfits(pb.ListMisfitsRequest(key=key)),
    ):  # fmt: skip
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "ATTRIBUTE_NOT_FOUND")


async def test_a_new_customer_comes_with_what_is_required_and_a_known_one_needs_not(
    services: RunningServices, stub: Any
) -> None:
    known, new, whole = fresh("known"), fresh("new"), fresh("whole")
    await bring(services, "ImportCustomers", [{"external_id": known, "name": known}])
    defined = await define(services, "TEXT", required=True)
    try:
        without = await bring(services, "ImportCustomers", [{"external_id": key, "name": "n"} for key in (known, new)])
        rows = [
            {"external_id": new, "name": new, defined.key: ""},
            {"external_id": whole, "name": "n", defined.key: "x"},
        ]
        partly = await bring(services, "ImportCustomers", rows)
    finally:
        await retire(services, defined.key)
    assert (without.updated, without.rejected) == (1, 1)
    assert [row.reason for row in without.rejected_rows] == [f"a new customer must come with {defined.key}"]
    assert (partly.created, partly.rejected, partly.rejected_rows[0].column) == (1, 1, defined.key)


async def test_misfits_are_those_of_customers_in_scope(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "OPTION", options=["old"])
    mark = fresh("scoped")
    await hold(services, defined.key, {f"{mark}-1": "old", f"{mark}-2": "old"})
    defined.options[:] = ["new"]
    await stub.UpdateAttribute(pb.UpdateAttributeRequest(request_id=fresh(), attribute=defined))
    employee = await colleague(services)
    await own(services, f"{mark}-2", employee.login)
    his = await services.stub(AttributesServiceStub, f"employee:{employee.login}")
    assert len(await misfits(stub, defined.key)) == 2
    assert len(await misfits(his, defined.key)) == 1
