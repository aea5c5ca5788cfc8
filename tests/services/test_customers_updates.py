"""People change the fields that a customer's source leaves to us."""

from typing import Any

import pytest
from sqlalchemy import func, select

from kejing.customers.v1 import attributes_service_pb2 as attributes_pb
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from services.customers.storage.tables import timeline
from tests.support.attributes import define
from tests.support.customers import by_external_id, colleague, csv_of, fresh, plain_mapping, told, upload
from tests.support.refusals import refused
from tests.support.services import RunningServices

OURS = ["short_name", "industry", "region", "kind", "seats", "first_sign_date", "credit_code", "parent_external_id"]
CREDIT_CODE = "91110000600037341L"


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(CustomersServiceStub)


async def new_customer(services: RunningServices, *ours: str, **values: str) -> Any:
    """A customer of a source of its own that leaves the fields `ours` (OURS where none is given) to us."""
    key = fresh("upd")
    row = {"external_id": key, "name": key, **values}
    mapping = plain_mapping(row, ours=list(ours or OURS))
    done = await upload(services, "ImportCustomers", csv_of([row]), mapping, source=key.lower())
    assert done.created == 1, done.rejected_rows
    return await by_external_id(services, key)


def wanted(customer: Any, values: dict[str, str], **more: Any) -> pb.UpdateCustomerRequest:
    return pb.UpdateCustomerRequest(request_id=fresh(), customer_id=customer.id, values=values, **more)


async def entries(services: RunningServices, customer: Any) -> list[Any]:
    async with services.db("customers").read(unscoped="a test") as read:
        found = await read.execute(
            select(timeline).where(timeline.c.customer_id == customer.id).order_by(timeline.c.id)
        )
        return list(found.all())


async def test_what_is_ours_is_changed_and_told(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services, region="North")
    values = {"region": " South ", "seats": "12", "first_sign_date": "2024-02-29", "credit_code": CREDIT_CODE.lower()}
    changed = (await stub.UpdateCustomer(wanted(customer, values, version=customer.version))).customer
    assert (changed.region, changed.seats, changed.credit_code) == ("South", 12, CREDIT_CODE)
    assert (changed.first_sign_date.year, changed.first_sign_date.day) == (2024, 29)
    assert changed.version == customer.version + 1
    assert changed == await by_external_id(services, customer.external_id)
    [entry] = await entries(services, customer)
    assert (entry.kind, entry.origin, entry.what) == ("ATTRIBUTES", "PERSON", "changed")
    assert entry.changes == {
        "credit_code": ["", CREDIT_CODE],
        "first_sign_date": ["", "2024-02-29"],
        "region": ["North", "South"],
        "seats": ["", "12"],
    }
    assert (await told(services, customer.external_id))[-1].seats == 12


async def test_what_says_nothing_new_changes_nothing(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services, region="North")
    same = (await stub.UpdateCustomer(wanted(customer, {"region": "North", "seats": ""}))).customer
    assert same == customer
    assert await entries(services, customer) == []


async def test_an_empty_value_empties_the_field(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services, region="North", seats="3")
    changed = (await stub.UpdateCustomer(wanted(customer, {"region": "", "seats": ""}))).customer
    assert not changed.region
    assert not changed.HasField("seats")


async def test_what_the_source_owns_is_refused_by_name_and_nothing_is_changed(
    services: RunningServices, stub: Any
) -> None:
    customer = await new_customer(services, "region")
    answer = await refused(stub.UpdateCustomer(wanted(customer, {"region": "x", "name": "y", "size": "z"})))
    assert (answer.code, answer.reason, answer.fields) == ("FAILED_PRECONDITION", "FIELD_NOT_OURS", ("name", "size"))
    assert await by_external_id(services, customer.external_id) == customer


async def test_the_key_of_a_customer_never_changes(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services)
    answer = await refused(stub.UpdateCustomer(wanted(customer, {"external_id": "other"})))
    assert (answer.reason, answer.fields) == ("FIELD_NOT_OURS", ("external_id",))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"seats": "many"}, "values[seats]"),
        ({"first_sign_date": "29.02.2024"}, "values[first_sign_date]"),
        ({"credit_code": CREDIT_CODE[:-1] + "X"}, "values[credit_code]"),
        ({"kind": ""}, "values[kind]"),
        ({"no_such_field": "x"}, "values[no_such_field]"),
    ],
)
async def test_a_wrong_value_is_refused_without_being_quoted(
    services: RunningServices, stub: Any, values: dict[str, str], field: str
) -> None:
    customer = await new_customer(services)
    answer = await refused(stub.UpdateCustomer(wanted(customer, values)))
    assert (answer.code, answer.reason, answer.fields) == ("INVALID_ARGUMENT", "VALUE_WRONG", (field,))
    assert not [value for value in values.values() if len(value) > 1 and value in answer.message]


async def test_a_change_of_an_older_version_is_refused(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services)
    await stub.UpdateCustomer(wanted(customer, {"region": "A"}))
    answer = await refused(stub.UpdateCustomer(wanted(customer, {"region": "B"}, version=customer.version)))
    assert (answer.code, answer.reason) == ("ABORTED", "VERSION_CHANGED")


async def test_the_same_request_again_changes_nothing_more(services: RunningServices, stub: Any) -> None:
    customer = await new_customer(services)
    request = wanted(customer, {"region": "A"})
    first = await stub.UpdateCustomer(request)
    assert await stub.UpdateCustomer(request) == first
    assert len(await entries(services, customer)) == 1


async def test_a_custom_attribute_is_checked_and_kept(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "NUMBER", minimum="0")
    customer = await new_customer(services, defined.key)
    changed = (await stub.UpdateCustomer(wanted(customer, {defined.key: "12.50"}))).customer
    assert dict(changed.attributes) == {defined.key: "12.5"}
    answer = await refused(stub.UpdateCustomer(wanted(customer, {defined.key: "-1"})))
    assert (answer.reason, answer.fields) == ("VALUE_WRONG", (f"values[{defined.key}]",))
    emptied = (await stub.UpdateCustomer(wanted(customer, {defined.key: ""}))).customer
    assert dict(emptied.attributes) == {}


async def test_a_required_attribute_is_not_emptied(services: RunningServices, stub: Any) -> None:
    defined = await define(services, "TEXT", required=False)
    customer = await new_customer(services, defined.key)
    await stub.UpdateCustomer(wanted(customer, {defined.key: "x"}))
    defined.required = True
    attributes = await services.stub(AttributesServiceStub)
    await attributes.UpdateAttribute(attributes_pb.UpdateAttributeRequest(request_id=fresh(), attribute=defined))
    try:
        answer = await refused(stub.UpdateCustomer(wanted(customer, {defined.key: ""})))
    finally:
        await attributes.RetireAttribute(attributes_pb.RetireAttributeRequest(request_id=fresh(), key=defined.key))
    assert answer.reason == "VALUE_WRONG"


async def test_a_parent_is_found_by_its_external_id(services: RunningServices, stub: Any) -> None:
    parent, child = await new_customer(services), await new_customer(services)
    changed = (await stub.UpdateCustomer(wanted(child, {"parent_external_id": parent.external_id}))).customer
    assert changed.parent_id == parent.id
    assert not (await stub.UpdateCustomer(wanted(child, {"parent_external_id": ""}))).customer.parent_id


async def test_out_of_scope_is_not_found(services: RunningServices) -> None:
    customer = await new_customer(services)
    stranger = await colleague(services)
    stub = await services.stub(CustomersServiceStub, f"employee:{stranger.login}")
    answer = await refused(stub.UpdateCustomer(wanted(customer, {"region": "A"})))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
    async with services.db("customers").read(unscoped="a test") as read:
        count = select(func.count()).select_from(timeline).where(timeline.c.customer_id == customer.id)
        assert (await read.execute(count)).scalar() == 0
