"""Each employee sees the customers that he, or his department, owns today; the others do not exist for him."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from kejing.customers.v1 import contacts_service_pb2, owners_service_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from kejing.identity.v1 import departments_service_pb2, departments_service_pb2_grpc, employees_service_pb2
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from services.shared.clock import business_date, utc_now
from services.shared.settings import ServiceSettings
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices


@dataclass
class Team:
    """A manager, two of a department below him, and customers: `mark`-0 of the first, -1 of the second, -2 nobody's."""

    mark: str
    manager: Any
    first: Any
    second: Any
    ids: list[str]


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    mark = fresh("Team")
    departments = await services.stub(departments_service_pb2_grpc.DepartmentsServiceStub)
    above = (await departments.CreateDepartment(
        departments_service_pb2.CreateDepartmentRequest(request_id=fresh(), name=mark)
    )).department  # fmt: skip
    below = (await departments.CreateDepartment(
        departments_service_pb2.CreateDepartmentRequest(request_id=fresh(), name=mark, parent_id=above.id)
    )).department  # fmt: skip
    manager = await colleague(services, "MANAGER", above.id)
    first, second = [await colleague(services, "CSM", below.id) for _ in range(2)]
    keys = [f"{mark}-{n}" for n in range(3)]
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key} for key in keys])
    await own(services, keys[0], first.login)
    await own(services, keys[1], second.login)
    return Team(mark, manager, first, second, [(await by_external_id(services, key)).id for key in keys])


async def seen(services: RunningServices, login: str, **asked: Any) -> list[str]:
    """The ends of the names that a list shows."""
    stub = await services.stub(CustomersServiceStub, f"employee:{login}")
    listed = await stub.ListCustomers(pb.ListCustomersRequest(page_size=500, filter=pb.CustomerFilter(**asked)))
    counted = await stub.CountCustomers(pb.CountCustomersRequest(filter=pb.CustomerFilter(**asked)))
    assert (counted.customers, counted.more) == (len(listed.customers), False)
    return [customer.name[-1] for customer in listed.customers]


async def test_lists_and_counts_show_what_is_in_scope(services: RunningServices, team: Team) -> None:
    assert await seen(services, team.first.login) == ["0"]
    assert await seen(services, team.second.login) == ["1"]
    assert await seen(services, team.manager.login) == ["0", "1"]
    assert await seen(services, "admin", name_prefix=team.mark) == ["0", "1", "2"]


async def test_neither_an_owner_nor_a_view_in_the_filter_widens_the_scope(
    services: RunningServices, team: Team
) -> None:
    assert await seen(services, team.first.login, owner_id=team.second.id) == []
    assert await seen(services, team.manager.login, owner_id=team.second.id) == ["1"]
    assert await seen(services, team.manager.login, view=pb.CUSTOMER_VIEW_MINE) == []
    assert await seen(services, team.first.login, view=pb.CUSTOMER_VIEW_MINE) == ["0"]
    assert await seen(services, team.first.login, view=pb.CUSTOMER_VIEW_MINE, owner_id=team.second.id) == []


async def test_what_is_out_of_scope_is_not_found_word_for_word_as_what_does_not_exist(
    services: RunningServices, team: Team
) -> None:
    who = f"employee:{team.first.login}"
    stub = await services.stub(CustomersServiceStub, who)
    owners = await services.stub(OwnersServiceStub, who)
    contacts = await services.stub(ContactsServiceStub, who)
    nowhere = "00000000-0000-7000-8000-000000000000"
    for foreign in (team.ids[1], team.ids[2]):
        for ask in (
            lambda id_: stub.GetCustomer(pb.GetCustomerRequest(customer_id=id_)),
            lambda id_: owners.ListOwners(owners_service_pb2.ListOwnersRequest(customer_id=id_)),
            lambda id_: contacts.ListContacts(contacts_service_pb2.ListContactsRequest(customer_id=id_)),
        ):
            answer, unknown = await refused(ask(foreign)), await refused(ask(nowhere))
            assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
            assert answer.message.replace(foreign, nowhere) == unknown.message
    got = await stub.BatchGetCustomers(pb.BatchGetCustomersRequest(customer_ids=team.ids))
    assert [customer.id for customer in got.customers] == team.ids[:1]
    assert (await stub.GetCustomer(pb.GetCustomerRequest(customer_id=team.ids[0]))).customer.id == team.ids[0]


async def test_an_owner_sees_a_customer_from_the_first_to_the_last_day(services: RunningServices, team: Team) -> None:
    owner, key = await colleague(services, "CSM"), fresh("Time")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": f"{key}-9"}])
    today = business_date(utc_now(), ServiceSettings.model_fields["business_time_zone"].default)
    for first, last, wanted in ((0, 0, ["9"]), (-1, 1, ["9"]), (1, 2, []), (-2, -1, [])):
        period = {"valid_from": today + timedelta(days=first), "valid_to": today + timedelta(days=last)}
        await own(services, key, owner.login, **{name: day.isoformat() for name, day in period.items()})
        assert await seen(services, owner.login) == wanted


async def test_a_change_of_owner_shows_at_once_in_both_lists(services: RunningServices, team: Team) -> None:
    old, new, key = await colleague(services), await colleague(services), fresh("Moves")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": f"{key}-7"}])
    await own(services, key, old.login)
    assert (await seen(services, old.login), await seen(services, new.login)) == (["7"], [])
    await own(services, key, new.login)
    assert (await seen(services, old.login), await seen(services, new.login)) == ([], ["7"])


async def test_who_leaves_leaves_his_customers_to_his_successor(services: RunningServices, team: Team) -> None:
    old, new, key = await colleague(services), await colleague(services), fresh("Leaves")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": f"{key}-5"}])
    await own(services, key, old.login)
    identity = await services.stub(EmployeesServiceStub)
    await services.start("tasks")  # identity asks it what he owns
    await identity.DeactivateEmployee(
        employees_service_pb2.DeactivateEmployeeRequest(request_id=fresh(), employee_id=old.id, successor_id=new.id)
    )

    async def handed_over() -> bool:
        return await seen(services, new.login) == ["5"]

    assert await eventually(handed_over)
    counting = await services.stub(CustomersServiceStub, "machine:identity")
    for employee, owned in ((old, 0), (new, 1)):
        answer = await counting.CountOwnedCustomers(pb.CountOwnedCustomersRequest(employee_id=employee.id))
        assert answer.customers == owned


async def test_services_get_the_facts_of_the_customers_that_they_ask_for(services: RunningServices, team: Team) -> None:
    machine = await services.stub(CustomersServiceStub, "machine:tasks")
    request = pb.GetCustomerFactsRequest(customer_ids=[team.ids[0], "00000000-0000-7000-8000-000000000000"])
    [facts] = (await machine.GetCustomerFacts(request)).customers
    assert (facts.id, [owner.employee_id for owner in facts.owners]) == (team.ids[0], [team.first.id])
    person = await services.stub(CustomersServiceStub)
    assert (await refused(person.GetCustomerFacts(request))).reason == "MACHINES_ONLY"
