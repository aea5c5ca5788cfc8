"""Reading customers: views, sorts, pages, and who may read."""

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kejing.customers.v1 import contacts_service_pb2, owners_service_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from services.customers.main import build
from services.customers.settings import CustomersSettings
from services.shared.rpc.client import channel
from tests.support.customers import bring, colleague
from tests.support.ports import free_port
from tests.support.refusals import refused
from tests.support.services import RunningServices

ALL, MINE, CHURNED = pb.CUSTOMER_VIEW_ALL, pb.CUSTOMER_VIEW_MINE, pb.CUSTOMER_VIEW_CHURNED


def fresh(word: str = "X") -> str:
    return f"{word}-{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(CustomersServiceStub)


FILTERS = {field.name for field in pb.CustomerFilter.DESCRIPTOR.fields}


def listing(**asked: Any) -> pb.ListCustomersRequest:
    """The request with these fields, its filter's among them."""
    of_filter = {name: asked.pop(name) for name in list(asked) if name in FILTERS}
    return pb.ListCustomersRequest(filter=pb.CustomerFilter(**of_filter), **asked)


async def every(stub: Any, **asked: Any) -> list[Any]:
    """All pages of ListCustomers, one after the other."""
    request = listing(**asked)
    found: list[Any] = []
    while True:
        page = await stub.ListCustomers(request)
        found += page.customers
        if not page.next_page_token:
            return found
        assert len(page.customers) == (request.page_size or 50)
        request.page_token = page.next_page_token


async def names(stub: Any, **asked: Any) -> list[str]:
    return [customer.name for customer in await every(stub, **asked)]


async def test_a_customer_churns_at_midnight_of_the_business_zone_and_returns_with_a_later_end(
    services: RunningServices, stub: Any
) -> None:
    key = fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key, "last_contract_end": "2031-06-30"}])
    try:
        services.clock.set(datetime(2031, 6, 30, 15, 59, tzinfo=UTC))  # 23:59 in Shanghai
        assert await names(stub, name_prefix=key, view=ALL) == [key]
        assert await names(stub, name_prefix=key, view=CHURNED) == []

        services.clock.set(datetime(2031, 6, 30, 16, 0, tzinfo=UTC))  # midnight in Shanghai
        assert await names(stub, name_prefix=key, view=ALL) == []
        [churned] = await every(stub, name_prefix=key, view=CHURNED)
        assert churned.churned

        later = [{"external_id": key, "name": key, "last_contract_end": "2032-06-30"}]
        await bring(services, "ImportCustomers", later)
        assert await names(stub, name_prefix=key, view=ALL) == [key]
    finally:
        services.clock.shift = timedelta()


@pytest.mark.parametrize(
    ("now", "running", "churned"),
    [
        # The last minutes of a contract's last day, and the first of the next, in the business time zone.
        (datetime(2018, 10, 3, 15, 55, tzinfo=UTC), ["A", "B"], []),
        (datetime(2018, 10, 3, 16, tzinfo=UTC), ["B"], ["A"]),
        (datetime(2018, 10, 9, 4, tzinfo=UTC), ["B"], ["A"]),
        (datetime(2019, 12, 20, 15, 55, tzinfo=UTC), ["B"], ["A"]),
        (datetime(2019, 12, 20, 16, tzinfo=UTC), [], ["A", "B"]),
    ],
)
async def test_who_churned_is_in_the_view_of_the_churned_and_in_no_other(
    services: RunningServices, stub: Any, now: datetime, running: list[str], churned: list[str]
) -> None:
    mark = fresh()
    ends = {"A": "2018-10-03", "B": "2019-12-20"}
    rows = [{"external_id": mark + key, "name": mark + key, "last_contract_end": end} for key, end in ends.items()]
    await bring(services, "ImportCustomers", rows)
    owner = await colleague(services, "DATA_ANALYST")
    owned = [{"customer_external_id": mark + key, "role": "CSM", "login": owner.login} for key in ends]
    await bring(services, "ImportOwners", owned)
    mine = await services.stub(CustomersServiceStub, f"employee:{owner.login}")
    await names(mine, view=MINE)
    try:
        services.clock.set(now)
        for sort in SORTS:
            assert [n.removeprefix(mark) for n in sorted(await names(stub, name_prefix=mark, sort=sort))] == running
            assert [n.removeprefix(mark) for n in sorted(await names(mine, view=MINE, sort=sort))] == running
            gone = await names(stub, name_prefix=mark, view=CHURNED, sort=sort)
            assert [n.removeprefix(mark) for n in sorted(gone)] == churned
    finally:
        services.clock.shift = timedelta()


async def test_mine_are_those_that_i_own_and_that_have_not_churned(services: RunningServices, stub: Any) -> None:
    mark = fresh()
    ended = {"external_id": f"{mark}2", "name": f"{mark}2", "last_contract_end": "2020-01-01"}
    running = {"external_id": f"{mark}1", "name": f"{mark}1", "last_contract_end": ""}
    others = {"external_id": f"{mark}3", "name": f"{mark}3", "last_contract_end": ""}
    await bring(services, "ImportCustomers", [running, ended, others])
    owner = await colleague(services, "DATA_ANALYST")
    rows = [{"customer_external_id": f"{mark}{n}", "role": "CSM", "login": owner.login} for n in (1, 2)]
    await bring(services, "ImportOwners", rows)
    mine = await services.stub(CustomersServiceStub, f"employee:{owner.login}")
    assert await names(mine, view=MINE) == [f"{mark}1"]
    assert await names(stub, owner_id=owner.id) == [f"{mark}1"]
    assert await names(stub, owner_id=owner.id, view=CHURNED) == [f"{mark}2"]


SORTS = {
    pb.CUSTOMER_SORT_NAME: lambda c: c.name,
    pb.CUSTOMER_SORT_NUMBER: lambda c: (len(c.number), c.number),
    pb.CUSTOMER_SORT_LAST_CONTRACT_END: lambda c: date(
        c.last_contract_end.year or 9999, c.last_contract_end.month or 12, c.last_contract_end.day or 31
    ),
    pb.CUSTOMER_SORT_CREATED_AT: lambda c: c.created_at.ToNanoseconds(),
}


@pytest.fixture(scope="session")
async def prefix(services: RunningServices) -> str:
    """The beginning of the names of 40 customers, of which many are equal in what lists are sorted by."""
    mark = fresh("Page")
    rows = [
        {
            "external_id": f"{mark}-{n}",
            "name": f"{mark} {n % 7}",
            "last_contract_end": ["", "2031-01-01", "2031-02-01", "2020-05-05"][n % 4],
        }
        for n in range(40)
    ]
    await bring(services, "ImportCustomers", rows[:25])
    await bring(services, "ImportCustomers", rows[25:])
    return mark


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(list(SORTS)),
    descending=st.booleans(),
    page_size=st.integers(1, 45),
    view=st.sampled_from([ALL, CHURNED]),
)
async def test_pages_put_together_are_the_whole_ordered_set(
    stub: Any, prefix: str, sort: Any, descending: bool, page_size: int, view: Any
) -> None:
    found = await every(stub, name_prefix=prefix, sort=sort, descending=descending, page_size=page_size, view=view)

    assert len(found) == len({customer.id for customer in found}) == (10 if view == CHURNED else 30)
    ordered = sorted(found, key=lambda c: (SORTS[sort](c), c.id), reverse=descending)
    assert [c.id for c in found] == [c.id for c in ordered]


async def test_a_page_stays_right_while_customers_come_in_before_it(services: RunningServices, stub: Any) -> None:
    mark = fresh("Grow")
    rows = [{"external_id": f"{mark}{n}", "name": f"{mark}{n}"} for n in range(1, 6)]
    await bring(services, "ImportCustomers", rows)
    first = await stub.ListCustomers(listing(name_prefix=mark, page_size=2))
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}0", "name": f"{mark}0"}])

    rest = await stub.ListCustomers(listing(name_prefix=mark, page_size=10, page_token=first.next_page_token))
    assert [customer.name for customer in rest.customers] == [f"{mark}{n}" for n in range(3, 6)]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"page_size": 501}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "what"}, "page_token"),
        ({"view": 9}, "filter.view"),
        ({"sort": 9}, "sort"),
        ({"owner_id": "me"}, "filter.owner_id"),
        ({"name_prefix": "x" * 201}, "filter.name_prefix"),
    ],
    ids=str,
)
async def test_a_wrong_field_of_a_list_is_named(stub: Any, asked: dict[str, Any], field: str) -> None:
    answer = await refused(stub.ListCustomers(listing(**asked)))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", (field,))


async def test_a_page_token_belongs_to_its_query(stub: Any, prefix: str) -> None:
    page = await stub.ListCustomers(listing(name_prefix=prefix, page_size=2))
    other = listing(name_prefix=prefix, descending=True, page_token=page.next_page_token)
    assert (await refused(stub.ListCustomers(other))).fields == ("page_token",)


async def test_unknown_customers_are_not_found(services: RunningServices, stub: Any) -> None:
    owners, contacts = await services.stub(OwnersServiceStub), await services.stub(ContactsServiceStub)
    unknown = str(uuid.uuid4())
    for call in (
        stub.GetCustomer(pb.GetCustomerRequest(customer_id=unknown)),
        contacts.ListContacts(contacts_service_pb2.ListContactsRequest(customer_id=unknown)),
        owners.ListOwners(owners_service_pb2.ListOwnersRequest(customer_id=unknown)),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
    assert (await refused(stub.GetCustomer(pb.GetCustomerRequest(customer_id="7")))).code == "INVALID_ARGUMENT"


async def test_many_customers_are_read_at_once_in_the_order_asked_for(stub: Any, prefix: str) -> None:
    ids = [customer.id for customer in (await every(stub, name_prefix=prefix))[:4]][::-1]
    asked = [ids[0], str(uuid.uuid4()), *ids[1:], ids[0]]
    answer = await stub.BatchGetCustomers(pb.BatchGetCustomersRequest(customer_ids=asked))
    assert [customer.id for customer in answer.customers] == ids

    too_many = pb.BatchGetCustomersRequest(customer_ids=[str(uuid.uuid4())] * 501)
    assert (await refused(stub.BatchGetCustomers(too_many))).fields == ("customer_ids",)


async def test_the_snapshot_of_facts_is_for_machines_and_holds_everybody_once(
    services: RunningServices, stub: Any, prefix: str
) -> None:
    answer = await refused(stub.ListCustomerFacts(pb.ListCustomerFactsRequest()))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "MACHINES_ONLY")

    machine = await services.stub(CustomersServiceStub, "machine:tasks")
    seen: list[str] = []
    request = pb.ListCustomerFactsRequest(page_size=50)
    while True:
        page = await machine.ListCustomerFacts(request)
        seen += [facts.external_id for facts in page.customers]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert len(seen) == len(set(seen))
    assert {f"{prefix}-{n}" for n in range(40)} <= set(seen)


async def test_nobody_reads_without_a_token(services: RunningServices, stub: Any) -> None:
    plain = await services.stub(CustomersServiceStub, "")
    assert (await refused(plain.ListCustomers(pb.ListCustomersRequest()))).reason == "TOKEN_MISSING"


async def test_with_identity_away_a_new_token_is_answered_unavailable(services: RunningServices) -> None:
    token = await services.sign_in("employee:admin")
    infrastructure = services.infrastructure
    service = await build(
        CustomersSettings(
            bind="127.0.0.1:0",
            encryption_keys_file=infrastructure.home.encryption_keys,
            identity_address=f"127.0.0.1:{free_port()}",
            customers_address=services.address("customers"),
            tasks_address=f"127.0.0.1:{free_port()}",
            health_address=f"127.0.0.1:{free_port()}",
            revenue_address=f"127.0.0.1:{free_port()}",
            machine_key_file=infrastructure.machine_key_file("customers"),
            nats_url=SecretStr(await infrastructure.nats_url("customers")),
            database_url=SecretStr(await infrastructure.database_url("customers")),
        )
    )
    await service.start()
    try:
        async with channel(f"127.0.0.1:{service.server.port}") as to_customers:
            metadata = (("authorization", f"Bearer {token}"),)
            call = CustomersServiceStub(to_customers).ListCustomers(pb.ListCustomersRequest(), metadata=metadata)
            answer = await refused(call)
    finally:
        await service.stop()
    assert (answer.code, answer.reason) == ("UNAVAILABLE", "IDENTITY_AWAY")
