"""National ids: never in clear but to whoever may see them, which is recorded; and their keys are exchanged."""

from typing import Any

import pytest
from sqlalchemy import select, text

from kejing.customers.v1 import attributes_service_pb2 as pb
from kejing.customers.v1 import customers_service_pb2 as customers_pb
from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from services.customers.domain.attributes import Attribute, reader
from services.customers.domain.fields import PLAIN, BadValue
from services.shared.audit.tables import audit
from tests.support.attributes import define
from tests.support.customers import bring, by_external_id, colleague, csv_of, fresh, own, plain_mapping, upload
from tests.support.everywhere import everywhere
from tests.support.refusals import refused
from tests.support.services import RunningServices

NATIONAL_ID, MASKED = "11010519491231002X", "110***********002X"
OTHER, OTHER_MASKED = "440524188001010014", "440***********0014"


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(AttributesServiceStub)


@pytest.fixture
async def key(services: RunningServices) -> str:
    return (await define(services, "NATIONAL_ID")).key


async def person(services: RunningServices, key: str, value: str = "") -> Any:
    """A customer with a national id that is ours to change; brought by its import where `value` is given."""
    name = fresh("person")
    row = {"external_id": name, "name": name, "kind": "INDIVIDUAL", **({key: value} if value else {})}
    mapping = plain_mapping(row, ours=[key])
    done = await upload(services, "ImportCustomers", csv_of([row]), mapping, source=name.lower())
    assert done.created == 1, done.rejected_rows
    return await by_external_id(services, name)


async def write(services: RunningServices, customer: Any, key: str, value: str) -> Any:
    stub = await services.stub(CustomersServiceStub)
    request = customers_pb.UpdateCustomerRequest(request_id=fresh(), customer_id=customer.id, values={key: value})
    return (await stub.UpdateCustomer(request)).customer


def reveal(customer: Any, key: str) -> pb.RevealAttributeRequest:
    return pb.RevealAttributeRequest(request_id=fresh(), customer_id=customer.id, key=key)


async def test_it_is_shown_masked_and_revealed_in_clear(services: RunningServices, stub: Any, key: str) -> None:
    customer = await person(services, key)
    assert (await write(services, customer, key, NATIONAL_ID.lower())).attributes[key] == MASKED
    assert (await by_external_id(services, customer.external_id)).attributes[key] == MASKED
    assert (await stub.RevealAttribute(reveal(customer, key))).value == NATIONAL_ID


async def test_an_import_brings_it_sealed(services: RunningServices, stub: Any, key: str) -> None:
    customer = await person(services, key, NATIONAL_ID)
    assert customer.attributes[key] == MASKED
    assert (await stub.RevealAttribute(reveal(customer, key))).value == NATIONAL_ID


async def test_it_lies_nowhere_in_clear(services: RunningServices, key: str) -> None:
    customer = await person(services, key, NATIONAL_ID)
    await write(services, customer, key, OTHER)
    assert await everywhere(services, ["customers"], NATIONAL_ID) == []
    assert await everywhere(services, ["customers"], OTHER) == []
    assert await everywhere(services, ["customers"], OTHER_MASKED) != []


async def test_another_one_with_the_same_mask_is_a_change(services: RunningServices, stub: Any, key: str) -> None:
    # 110105 1949-12-31 002X and 110108 1949-12-23 002X look alike behind their masks.
    alike = next(
        f"110{middle:011d}002X"
        for middle in range(10500000000 + 19491231, 10500000000 + 19501231)
        if f"110{middle:011d}002X" != NATIONAL_ID and valid(f"110{middle:011d}002X")
    )
    customer = await person(services, key, NATIONAL_ID)
    await write(services, customer, key, alike)
    assert (await stub.RevealAttribute(reveal(customer, key))).value == alike


def valid(value: str) -> bool:
    try:
        return bool(reader(Attribute("x", "x", "x", "NATIONAL_ID"))(value, PLAIN))
    except BadValue:
        return False


async def test_the_same_one_again_changes_nothing(services: RunningServices, key: str) -> None:
    customer = await person(services, key, NATIONAL_ID)
    assert await write(services, customer, key, NATIONAL_ID) == customer


async def test_each_look_is_recorded_and_the_record_does_not_hold_it(
    services: RunningServices, stub: Any, key: str
) -> None:
    customer = await person(services, key, NATIONAL_ID)
    request = reveal(customer, key)
    await stub.RevealAttribute(request)
    await stub.RevealAttribute(request)
    async with services.db("customers").read() as read:
        records = (await read.execute(select(audit).where(audit.c.request_id == request.request_id))).all()
    assert [record.method for record in records] == ["kejing.customers.v1.AttributesService/RevealAttribute"] * 2
    assert {record.customer_id for record in records} == {customer.id}
    assert [record.change["key"] for record in records] == [key] * 2


async def test_without_the_permission_nobody_sees_it(services: RunningServices, key: str) -> None:
    customer = await person(services, key, NATIONAL_ID)
    owner = await colleague(services)
    await own(services, customer.external_id, owner.login)
    his = await services.stub(AttributesServiceStub, f"employee:{owner.login}")
    answer = await refused(his.RevealAttribute(reveal(customer, key)))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


async def test_what_is_not_there_is_not_found(services: RunningServices, stub: Any, key: str) -> None:
    customer = await person(services, key)
    text_key = (await define(services, "TEXT")).key
    assert (await refused(stub.RevealAttribute(reveal(customer, key)))).reason == "VALUE_NOT_FOUND"
    assert (await refused(stub.RevealAttribute(reveal(customer, text_key)))).reason == "ATTRIBUTE_NOT_FOUND"
    customer.id = "00000000-0000-7000-8000-000000000000"
    assert (await refused(stub.RevealAttribute(reveal(customer, key)))).reason == "CUSTOMER_NOT_FOUND"


async def test_a_wrong_one_is_refused_by_import_without_being_quoted(services: RunningServices, key: str) -> None:
    name = fresh("wrong")
    wrong = NATIONAL_ID[:-1] + "1"
    done = await bring(services, "ImportCustomers", [{"external_id": name, "name": name, key: wrong}])
    [row] = done.rejected_rows
    assert (row.column, "GB 11643" in row.reason) == (key, True)
    assert wrong not in str(row)
    assert await everywhere(services, ["customers"], wrong) == []


async def test_a_retired_attribute_leaves_nothing_encrypted_behind(
    services: RunningServices, stub: Any, key: str
) -> None:
    await person(services, key, NATIONAL_ID)
    await stub.RetireAttribute(pb.RetireAttributeRequest(request_id=fresh(), key=key))
    async with services.db("customers").read(unscoped="a test") as read:
        left = await read.execute(text("select count(*) from national_ids where key = :key"), {"key": key})
        assert left.scalar() == 0


async def test_values_come_under_a_new_key_until_none_is_left(services: RunningServices, stub: Any, key: str) -> None:
    customer = await person(services, key, NATIONAL_ID)
    services.infrastructure.home.add_encryption_key()
    rotated, left = 0, -1
    while left:
        answer = await stub.RotateEncryption(pb.RotateEncryptionRequest(request_id=fresh()))
        assert answer.rotated or not answer.left
        rotated, left = rotated + answer.rotated, answer.left
    assert rotated >= 1
    services.infrastructure.home.forget_encryption_keys()
    assert (await stub.RevealAttribute(reveal(customer, key))).value == NATIONAL_ID
    assert await write(services, customer, key, NATIONAL_ID) == customer  # its digest is known under the new key too
