"""Customers that several sources know: what links them, which fields are whose, who belongs to whom."""

from typing import Any

import pytest

from kejing.customers.v1 import customer_pb2, customers_service_pb2
from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from tests.support.customers import (
    bring,
    by_external_id,
    counts,
    csv_of,
    fresh,
    plain_mapping,
    upload,
)
from tests.support.refusals import refused
from tests.support.services import RunningServices

PLAIN = plain_mapping(["external_id", "name"])


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(ImportsServiceStub)


async def test_a_second_source_links_the_customers_that_it_recognises(services: RunningServices) -> None:
    """By credit code; and from then on by its own ids, whatever else it says."""
    key, theirs = fresh(), fresh()
    rows: list[dict[str, object]] = [{"external_id": key, "name": "青云", "credit_code": "91110000802100433B"}]
    assert (await upload(services, "ImportCustomers", csv_of(rows), plain_mapping(rows[0]), source="crm")).created == 1
    billing: list[dict[str, object]] = [
        {"external_id": theirs, "name": "青云", "credit_code": "91110000802100433B", "seats": 9}
    ]
    by_code = plain_mapping(billing[0], link_by="credit_code")
    first = await upload(services, "ImportCustomers", csv_of(billing), by_code, source="billing")
    assert counts(first) == {"rows_read": 1, "updated": 1}
    customer = await by_external_id(services, key)
    assert (customer.seats, customer.source) == (9, "crm")
    assert [(link.source, link.external_id) for link in customer.links] == [("crm", key), ("billing", theirs)]
    again = await upload(services, "ImportCustomers", csv_of(billing), plain_mapping(billing[0]), source="billing")
    assert counts(again) == {"rows_read": 1, "unchanged": 1}


async def test_an_id_of_another_source_is_rejected_until_it_is_linked(services: RunningServices) -> None:
    key = fresh()
    row: list[dict[str, object]] = [{"external_id": key, "name": "A"}]
    await upload(services, "ImportCustomers", csv_of(row), PLAIN, source="crm")
    alien = await upload(services, "ImportCustomers", csv_of(row), PLAIN, source="billing")
    assert counts(alien) == {"rows_read": 1, "rejected": 1}
    assert "customer of crm" in alien.rejected_rows[0].reason
    linked = plain_mapping(row[0], link_by="external_id")
    assert counts(await upload(services, "ImportCustomers", csv_of(row), linked, source="billing")) == {
        "rows_read": 1,
        "unchanged": 1,
    }
    assert counts(await upload(services, "ImportCustomers", csv_of(row), PLAIN, source="billing")) == {
        "rows_read": 1,
        "unchanged": 1,
    }


async def test_a_source_recognises_customers_by_our_number(services: RunningServices) -> None:
    key, theirs = fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "A"}])
    number = (await by_external_id(services, key)).number
    row: list[dict[str, object]] = [{"external_id": theirs, "name": "A2", "number": number}]
    made = plain_mapping(row[0], link_by="number")
    assert counts(await upload(services, "ImportCustomers", csv_of(row), made, source="erp")) == {
        "rows_read": 1,
        "updated": 1,
    }
    assert (await by_external_id(services, key)).name == "A2"


async def test_a_code_of_two_customers_links_neither(services: RunningServices) -> None:
    code = "91440300708461136T"
    rows: list[dict[str, object]] = [{"external_id": fresh(), "name": "A", "credit_code": code} for _ in range(2)]
    assert (await bring(services, "ImportCustomers", rows)).created == 2
    row: list[dict[str, object]] = [{"external_id": fresh(), "name": "A", "credit_code": code}]
    made = plain_mapping(row[0], link_by="credit_code")
    result = await upload(services, "ImportCustomers", csv_of(row), made, source="billing")
    assert counts(result) == {"rows_read": 1, "rejected": 1}
    assert "2 customers" in result.rejected_rows[0].reason


async def test_two_ids_of_one_customer_count_as_one_row_said_twice(services: RunningServices) -> None:
    key, one, two = fresh(), fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "A"}])
    customer = await by_external_id(services, key)
    people = await services.stub(CustomersServiceStub)
    for external_id in (one, two):
        await people.LinkCustomer(link_request(customer.id, "erp", external_id))
    rows: list[dict[str, object]] = [{"external_id": one, "name": "One"}, {"external_id": two, "name": "Two"}]
    for expected in ("updated", "unchanged"):
        result = await upload(services, "ImportCustomers", csv_of(rows), PLAIN, source="erp")
        assert counts(result) == {"rows_read": 2, "superseded": 1, expected: 1}
    assert (await by_external_id(services, key)).name == "Two"


def link_request(
    customer_id: str, source: str, external_id: str, *, remove: bool = False
) -> customers_service_pb2.LinkCustomerRequest:
    link = customer_pb2.SourceLink(source=source, external_id=external_id)
    return customers_service_pb2.LinkCustomerRequest(
        request_id=fresh(), customer_id=customer_id, link=link, remove=remove
    )


async def test_links_are_made_and_taken_back_by_hand(services: RunningServices) -> None:
    key, other, theirs = fresh(), fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": each, "name": each} for each in (key, other)])
    customer, second = await by_external_id(services, key), await by_external_id(services, other)
    people = await services.stub(CustomersServiceStub)
    linked = (await people.LinkCustomer(link_request(customer.id, "erp", theirs))).customer
    assert [(link.source, link.external_id) for link in linked.links] == [("test", key), ("erp", theirs)]
    await people.LinkCustomer(link_request(customer.id, "erp", theirs))
    taken = await refused(people.LinkCustomer(link_request(second.id, "erp", theirs)))
    assert (taken.code, taken.reason) == ("ALREADY_EXISTS", "LINK_EXISTS")
    last = await refused(people.LinkCustomer(link_request(customer.id, "test", key, remove=True)))
    assert (last.code, last.reason) == ("FAILED_PRECONDITION", "LAST_LINK")
    parted = (await people.LinkCustomer(link_request(customer.id, "erp", theirs, remove=True))).customer
    assert len(parted.links) == 1
    gone = await refused(people.LinkCustomer(link_request(customer.id, "erp", theirs, remove=True)))
    assert (gone.code, gone.reason) == ("NOT_FOUND", "LINK_NOT_FOUND")


async def test_contacts_and_owners_find_customers_by_their_own_sources_ids(services: RunningServices) -> None:
    key, theirs = fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    customer = await by_external_id(services, key)
    people = await services.stub(CustomersServiceStub)
    await people.LinkCustomer(link_request(customer.id, "erp", theirs))
    row: list[dict[str, object]] = [{"customer_external_id": theirs, "external_id": "c1", "name": "Zhou"}]
    made = plain_mapping(row[0])
    assert (await upload(services, "ImportContacts", csv_of(row), made, source="erp")).created == 1
    assert (await upload(services, "ImportContacts", csv_of(row), made, source="crm")).rejected == 1


async def test_fields_that_are_ours_are_filled_once(services: RunningServices, stub: Any) -> None:
    key, source = fresh(), fresh("src").lower()
    row: list[dict[str, object]] = [{"external_id": key, "name": "A", "value_tier": "growth"}]
    made = plain_mapping(row[0], ours=["value_tier"])
    await upload(services, "ImportCustomers", csv_of(row), made, source=source)
    later: list[dict[str, object]] = [{**row[0], "name": "B", "value_tier": "strategic"}]
    result = await upload(services, "ImportCustomers", csv_of(later), made, source=source)
    assert counts(result) == {"rows_read": 1, "updated": 1}
    customer = await by_external_id(services, key)
    assert (customer.name, customer.value_tier) == ("B", "growth")
    [known_source] = [each for each in (await stub.ListSources(pb.ListSourcesRequest())).sources if each.name == source]
    assert (list(known_source.ours), known_source.customers) == (["value_tier"], 1)


@pytest.mark.parametrize("order", ["parent first", "parent later in the file", "parent in a later file"])
async def test_parents_are_found_whenever_they_come(services: RunningServices, order: str) -> None:
    parent, child = fresh("parent"), fresh("child")
    first = {"external_id": parent, "name": "Parent", "parent_external_id": ""}
    second = {"external_id": child, "name": "Child", "parent_external_id": parent}
    files = {"parent first": [[first, second]], "parent later in the file": [[second, first]]}
    for rows in files.get(order, [[second], [first]]):
        await bring(services, "ImportCustomers", rows)
    found = await by_external_id(services, child)
    assert found.parent_id == (await by_external_id(services, parent)).id
    again = await bring(services, "ImportCustomers", [second, first])
    assert counts(again) == {"rows_read": 2, "unchanged": 2}
