"""Contacts and owners come in, by the external ids of their customers."""

from typing import Any

import pytest

from kejing.customers.v1 import contacts_service_pb2, owners_service_pb2
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from tests.support.customers import bring, by_external_id, colleague, counts, everything, fresh, own, told, touches
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
    known, events = await everything(services)
    result = await bring(services, "ImportContacts", rows)

    assert counts(result) == {"rows_read": 7, "created": 3, "rejected": 4}
    assert [(bad.line, bad.column) for bad in result.rejected_rows] == [
        (5, "email"), (6, "phone"), (7, "name"), (8, "customer_external_id")
    ]  # fmt: skip
    # Contacts are personal: one event says at whom something changed, none what.
    assert await everything(services) == (known, events + 1)
    assert await touches(services, "CONTACT_CHANGED") >= {one, two}
    customer = await by_external_id(services, one)
    contacts = await services.stub(ContactsServiceStub)
    page = await contacts.ListContacts(contacts_service_pb2.ListContactsRequest(customer_id=customer.id, page_size=1))
    rest = await contacts.ListContacts(
        contacts_service_pb2.ListContactsRequest(customer_id=customer.id, page_size=1, page_token=page.next_page_token)
    )
    assert [contact.name for contact in (*page.contacts, *rest.contacts)] == ["Adams", "周"]
    assert not rest.next_page_token

    again = await bring(services, "ImportContacts", [{**row, "post": "CEO"}, {**row, "customer_external_id": two}])
    assert counts(again) == {"rows_read": 2, "updated": 1, "unchanged": 1}


async def test_owners_come_in_by_role_and_login(services: RunningServices, stub: Any) -> None:
    one, first, second = fresh(), await colleague(services), await colleague(services)
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])
    owner = {"customer_external_id": one, "role": "CSM", "login": first.login}
    rows = [owner, {**owner, "role": "ANALYST", "login": second.login}]
    assert counts(await bring(services, "ImportOwners", rows)) == {"rows_read": 2, "created": 2}
    customer = await by_external_id(services, one)
    assert [(o.role, o.employee_id) for o in customer.owners] == [(1, first.id), (2, second.id)]
    assert [(o.role, o.employee_id) for o in (await told(services, one))[-1].owners] == [(1, first.id), (2, second.id)]

    again = await bring(services, "ImportOwners", [owner])
    assert counts(again) == {"rows_read": 1, "unchanged": 1}
    moved = await bring(services, "ImportOwners", [{**owner, "login": second.login}])
    assert counts(moved) == {"rows_read": 1, "updated": 1}
    stub = await services.stub(OwnersServiceStub)
    owners = (await stub.ListOwners(owners_service_pb2.ListOwnersRequest(customer_id=customer.id))).owners
    assert [o.employee_id for o in owners] == [second.id, second.id]
    assert (await told(services, one))[-1].version == customer.version + 1


def periods(owners: Any) -> list[str]:
    """Each as "<first>..<last>", with nothing where it is open."""
    days = [[f"{day.year:04}-{day.month:02}-{day.day:02}" if day.year else "" for day in (o.valid_from, o.valid_to)]
            for o in owners]  # fmt: skip
    return ["..".join(each) for each in days]


async def test_an_owner_may_own_for_a_time(services: RunningServices, stub: Any) -> None:
    one, first, second = fresh(), await colleague(services), await colleague(services)
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])

    async def owners() -> list[str]:
        shown = (await by_external_id(services, one)).owners
        assert periods(shown) == periods((await told(services, one))[-1].owners)
        return periods(shown)

    await own(services, one, first.login)
    assert await owners() == [".."]
    await own(services, one, first.login, valid_from="2026-01-01", valid_to="2026-12-31")
    assert await owners() == ["2026-01-01..2026-12-31"]
    await own(services, one, first.login)  # a file without the columns leaves the same owner's period alone
    assert await owners() == ["2026-01-01..2026-12-31"]
    await own(services, one, first.login, valid_to="2027-06-30")
    assert await owners() == ["..2027-06-30"]
    await own(services, one, second.login)
    assert await owners() == [".."]


async def test_a_period_that_ends_before_it_begins_is_rejected(services: RunningServices, stub: Any) -> None:
    one = fresh()
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])
    owner = {"customer_external_id": one, "role": "CSM", "login": (await colleague(services)).login}
    rows = [
        {**owner, "valid_from": "2026-02-01", "valid_to": "2026-01-31"},
        {**owner, "role": "ANALYST", "valid_from": "2026-02-01", "valid_to": "2026-02-01"},
        {**owner, "role": "SALES_MANAGER", "valid_from": "2026-02-01", "valid_to": ""},
    ]
    result = await bring(services, "ImportOwners", rows)
    assert counts(result) == {"rows_read": 3, "created": 2, "rejected": 1}
    assert [(bad.line, bad.column, bad.value) for bad in result.rejected_rows] == [(2, "valid_to", "2026-01-31")]


async def test_owners_of_unknown_customers_roles_and_logins_are_rejected(services: RunningServices, stub: Any) -> None:
    one = fresh()
    await bring(services, "ImportCustomers", [{"external_id": one, "name": one}])
    owner = {"customer_external_id": one, "role": "CSM", "login": (await colleague(services)).login}
    rows = [
        owner,
        {**owner, "role": "FRIEND"},
        {**owner, "role": "ANALYST", "login": "nobody-here"},
        {**owner, "customer_external_id": "nobody"},
    ]
    result = await bring(services, "ImportOwners", rows)
    assert counts(result) == {"rows_read": 4, "created": 1, "rejected": 3}
    assert [(bad.line, bad.column, bad.value) for bad in result.rejected_rows] == [
        (3, "role", "FRIEND"), (4, "login", "nobody-here"), (5, "customer_external_id", "nobody")
    ]  # fmt: skip
