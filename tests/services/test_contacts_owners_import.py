"""Contacts and owners come in, by the external ids of their customers."""

from typing import Any

import pytest

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.identity.v1 import identity_service_pb2
from kejing.identity.v1.employee_pb2 import ROLE_CSM
from kejing.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from tests.support.customers import (
    bring,
    by_external_id,
    counts,
    everything,
    fresh,
    told,
)
from tests.support.eventually import eventually
from tests.support.services import RunningServices


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(CustomersServiceStub)


async def test_contacts_come_in_by_the_external_ids_of_customer_and_contact(
    services: RunningServices, stub: Any
) -> None:
    one, two = fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in (one, two)])
    row = {"customer_external_id": one, "external_id": "c1", "name": "周", "phone": "+86 138-0013-8000",
           "wechat_id": "zhou", "post": "CTO", "email": "zhou@example.com"}  # fmt: skip
    rows = [
        row,
        {**row, "customer_external_id": two},
        {**row, "external_id": "c2", "name": "Adams", "email": ""},
        {**row, "external_id": "c3", "email": "no-address"},
        {**row, "external_id": "c4", "phone": "call me"},
        {**row, "external_id": "c5", "name": ""},
        {**row, "customer_external_id": "nobody", "external_id": "c6"},
    ]
    before = await everything(services)
    result = await bring(services, "ImportContacts", rows)

    assert counts(result) == {"rows_read": 7, "created": 3, "rejected": 4}
    assert [(bad.line, bad.column) for bad in result.rejected_rows] == [
        (5, "email"), (6, "phone"), (7, "name"), (8, "customer_external_id")
    ]  # fmt: skip
    assert await everything(services) == before  # contacts are personal: no event tells of them
    customer = await by_external_id(services, one)
    page = await stub.ListContacts(pb.ListContactsRequest(customer_id=customer.id, page_size=1))
    rest = await stub.ListContacts(
        pb.ListContactsRequest(customer_id=customer.id, page_size=1, page_token=page.next_page_token)
    )
    assert [contact.name for contact in (*page.contacts, *rest.contacts)] == ["Adams", "周"]
    assert not rest.next_page_token

    again = await bring(services, "ImportContacts", [{**row, "post": "CEO"}, {**row, "customer_external_id": two}])
    assert counts(again) == {"rows_read": 2, "updated": 1, "unchanged": 1}


async def employee(services: RunningServices) -> Any:
    """A new employee whom customers knows of."""
    admin = await services.stub(IdentityServiceStub)
    request = identity_service_pb2.CreateEmployeeRequest(
        request_id=fresh(), login=fresh("csm").lower(), display_name="CSM", role=ROLE_CSM
    )
    return (await admin.CreateEmployee(request)).employee


async def test_owners_come_in_by_role_and_login(services: RunningServices, stub: Any) -> None:
    one, first, second = fresh(), await employee(services), await employee(services)
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])
    owner = {"customer_external_id": one, "role": "CSM", "login": first.login}

    async def known() -> bool:
        rows = [owner, {**owner, "role": "ANALYST", "login": second.login}]
        result = await bring(services, "ImportOwners", rows)
        assert result.rejected == 0
        return True

    await eventually(known)
    customer = await by_external_id(services, one)
    assert [(o.role, o.employee_id) for o in customer.owners] == [(1, first.id), (2, second.id)]
    assert [(o.role, o.employee_id) for o in (await told(services, one))[-1].owners] == [(1, first.id), (2, second.id)]

    again = await bring(services, "ImportOwners", [owner])
    assert counts(again) == {"rows_read": 1, "unchanged": 1}
    moved = await bring(services, "ImportOwners", [{**owner, "login": second.login}])
    assert counts(moved) == {"rows_read": 1, "updated": 1}
    owners = (await stub.ListOwners(pb.ListOwnersRequest(customer_id=customer.id))).owners
    assert [o.employee_id for o in owners] == [second.id, second.id]
    assert (await told(services, one))[-1].version == customer.version + 1


async def test_owners_of_unknown_customers_roles_and_logins_are_rejected(services: RunningServices, stub: Any) -> None:
    one = fresh()
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])
    owner = {"customer_external_id": one, "role": "CSM", "login": "admin"}
    rows = [
        owner,
        {**owner, "role": "FRIEND"},
        {**owner, "role": "ANALYST", "login": "nobody-here"},
        {**owner, "customer_external_id": "nobody"},
    ]

    async def admin_is_known() -> bool:
        result = await bring(services, "ImportOwners", rows)
        assert result.rejected == 3
        return [(bad.line, bad.column, bad.value) for bad in result.rejected_rows] == [
            (3, "role", "FRIEND"), (4, "login", "nobody-here"), (5, "customer_external_id", "nobody")
        ]  # fmt: skip

    assert await eventually(admin_is_known)
