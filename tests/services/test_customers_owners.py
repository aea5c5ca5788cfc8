"""Owners are changed for many customers at once, and the history says who had which role when."""

from typing import Any

import pytest
from google.type.date_pb2 import Date

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1 import owners_service_pb2 as pb
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from kejing.identity.v1 import employees_service_pb2
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from tests.support.customers import bring, by_external_id, colleague, fresh, own, told
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices

CSM, ANALYST = customer_pb2.OWNER_ROLE_CSM, customer_pb2.OWNER_ROLE_ANALYST
NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(OwnersServiceStub)


@pytest.fixture
async def keys(services: RunningServices, stub: Any) -> list[str]:
    """The external ids of three new customers."""
    found = [f"{fresh()}-{n}" for n in range(3)]
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in found])
    return found


def giving(ids: list[str], employee_id: str, role: Any = CSM, **period: Date) -> pb.ChangeOwnersRequest:
    owner = customer_pb2.Owner(role=role, employee_id=employee_id, **period)
    return pb.ChangeOwnersRequest(request_id=fresh(), customer_ids=ids, owner=owner)


async def history(stub: Any, customer_id: str) -> list[tuple[int, str, str]]:
    answer = await stub.ListOwnerHistory(pb.ListOwnerHistoryRequest(customer_id=customer_id))
    return [(change.role, change.before.employee_id, change.after.employee_id) for change in answer.changes]


async def ids_of(services: RunningServices, keys: list[str]) -> list[str]:
    return [(await by_external_id(services, key)).id for key in keys]


async def test_many_customers_get_another_owner_and_lists_and_others_know(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, first, second = await ids_of(services, keys), await colleague(services), await colleague(services)
    assert (await stub.ChangeOwners(giving(ids[:2], first.id))).changed == 2
    assert (await stub.ChangeOwners(giving(ids, first.id))).changed == 1
    request = giving(ids[:1], second.id)
    assert (await stub.ChangeOwners(request)).changed == 1
    assert (await stub.ChangeOwners(request)).changed == 1
    customer = await by_external_id(services, keys[0])
    assert [(owner.role, owner.employee_id) for owner in customer.owners] == [(CSM, second.id)]
    assert customer.version == 3
    facts = (await told(services, keys[0]))[-1]
    assert (facts.version, facts.owners[0].employee_id) == (3, second.id)
    theirs = await services.stub(OwnersServiceStub, f"employee:{first.login}")
    assert await history(theirs, ids[1]) == [(CSM, "", first.id)]
    assert (await refused(theirs.ListOwnerHistory(pb.ListOwnerHistoryRequest(customer_id=ids[0])))).code == "NOT_FOUND"


async def test_a_role_is_given_to_nobody(services: RunningServices, stub: Any, keys: list[str]) -> None:
    ids, owner = await ids_of(services, keys), await colleague(services)
    await stub.ChangeOwners(giving(ids[:1], owner.id))
    assert (await stub.ChangeOwners(giving(ids, ""))).changed == 1
    assert not (await by_external_id(services, keys[0])).owners
    assert await history(stub, ids[0]) == [(CSM, owner.id, ""), (CSM, "", owner.id)]


async def test_a_period_is_kept_and_told_in_the_history(services: RunningServices, stub: Any, keys: list[str]) -> None:
    [customer_id, *_], owner = await ids_of(services, keys), await colleague(services)
    last = Date(year=2027, month=6, day=30)
    await stub.ChangeOwners(giving([customer_id], owner.id))
    await stub.ChangeOwners(giving([customer_id], owner.id, valid_to=last))
    [stored] = (await by_external_id(services, keys[0])).owners
    assert (stored.valid_to, stored.HasField("valid_from")) == (last, False)
    [newest, _] = (await stub.ListOwnerHistory(pb.ListOwnerHistoryRequest(customer_id=customer_id))).changes
    assert (newest.before.HasField("valid_to"), newest.after) == (False, stored)
    backward = giving([customer_id], owner.id, valid_from=Date(year=2027, month=7, day=1), valid_to=last)
    answer = await refused(stub.ChangeOwners(backward))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "PERIOD_BACKWARD")


async def test_imports_and_hand_overs_stand_in_the_history_too(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    [customer_id, *_] = await ids_of(services, keys)
    leaver, successor = await colleague(services), await colleague(services)
    await own(services, keys[0], leaver.login)
    await own(services, keys[0], leaver.login, role="ANALYST")
    people = await services.stub(EmployeesServiceStub)
    leaving = employees_service_pb2.DeactivateEmployeeRequest(
        request_id=fresh(), employee_id=leaver.id, successor_id=successor.id
    )
    await people.DeactivateEmployee(leaving)

    async def handed_over() -> bool:
        return len(await history(stub, customer_id)) == 4

    await eventually(handed_over)
    assert (await history(stub, customer_id))[:2] == [
        (CSM, leaver.id, successor.id), (ANALYST, leaver.id, successor.id)
    ]  # fmt: skip
    paged = pb.ListOwnerHistoryRequest(customer_id=customer_id, page_size=3)
    page = await stub.ListOwnerHistory(paged)
    paged.page_token = page.next_page_token
    rest = await stub.ListOwnerHistory(paged)
    assert [len(page.changes), len(rest.changes), rest.next_page_token] == [3, 1, ""]


async def test_nothing_is_changed_where_one_customer_is_unknown_or_out_of_scope(
    services: RunningServices, stub: Any, keys: list[str]
) -> None:
    ids, owner = await ids_of(services, keys), await colleague(services, "MANAGER")
    await own(services, keys[0], owner.login)
    mine = await services.stub(OwnersServiceStub, f"employee:{owner.login}")
    for caller, asked, named in ((mine, ids, ids[1]), (stub, [ids[1], NOWHERE], NOWHERE)):
        answer = await refused(caller.ChangeOwners(giving(asked, owner.id, ANALYST)))
        assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
        assert named in answer.message
    assert len((await by_external_id(services, keys[0])).owners) == 1
    assert not (await by_external_id(services, keys[1])).owners


async def test_who_is_unknown_or_has_left_owns_nothing(services: RunningServices, stub: Any, keys: list[str]) -> None:
    ids, leaver, successor = await ids_of(services, keys), await colleague(services), await colleague(services)
    people = await services.stub(EmployeesServiceStub)
    leaving = employees_service_pb2.DeactivateEmployeeRequest(
        request_id=fresh(), employee_id=leaver.id, successor_id=successor.id
    )
    await people.DeactivateEmployee(leaving)

    async def refused_as(employee_id: str) -> tuple[str, str]:
        answer = await refused(stub.ChangeOwners(giving(ids, employee_id, ANALYST)))
        return answer.code, answer.reason

    assert await refused_as(NOWHERE) == ("NOT_FOUND", "EMPLOYEE_NOT_FOUND")

    async def has_left() -> bool:
        return await refused_as(leaver.id) == ("FAILED_PRECONDITION", "EMPLOYEE_INACTIVE")

    await eventually(has_left)
