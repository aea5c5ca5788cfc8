"""The overview of a customer: what all services know, as each of them would show it to the caller."""

from datetime import date
from typing import Any

import pytest

from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import customers_service_pb2, overview_service_pb2, timeline_service_pb2
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.overview_service_pb2 import OverviewPart
from kejing.customers.v1.overview_service_pb2_grpc import OverviewServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from kejing.health.v1 import health_service_pb2
from kejing.health.v1.health_service_pb2_grpc import HealthServiceStub
from kejing.identity.v1 import employees_service_pb2, roles_service_pb2
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.identity.v1.roles_service_pb2_grpc import RolesServiceStub
from kejing.revenue.v1 import orders_service_pb2
from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
from kejing.tasks.v1 import task_pb2, tasks_service_pb2
from kejing.tasks.v1.tasks_service_pb2_grpc import TasksServiceStub
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.make_organisation import PRICE, make_organisation
from tests.support.organisation import Organisation
from tests.support.people import acting_for, tell_deputy
from tests.support.refusals import refused
from tests.support.scope_plans import Ownership, Plan, business_today
from tests.support.services import RunningServices
from tests.support.terminal import Terminal

PARTS = {
    "tasks": {OverviewPart.OVERVIEW_PART_TASKS, OverviewPart.OVERVIEW_PART_PROCESSES},
    "health": {
        OverviewPart.OVERVIEW_PART_HEALTH,
        OverviewPart.OVERVIEW_PART_USAGE,
        OverviewPart.OVERVIEW_PART_ALERTS,
    },
    "revenue": {OverviewPart.OVERVIEW_PART_ORDERS, OverviewPart.OVERVIEW_PART_REVENUE},
}
EVERYBODY = range(2)

OPEN = [task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS]


@pytest.fixture(scope="module")
async def organisation(services: RunningServices) -> Organisation:
    """Two employees, each with a customer of his own."""
    made = await make_organisation(services, departments=1, employees=2, customers=2)
    owners = {(each, "CSM"): Ownership(each, date.min, date.max) for each in EVERYBODY}
    await made.arrange(Plan([-1], [0, 0], ["OWN", "OWN"], owners))
    return made


async def overview(made: Organisation, employee: int, customer: int, **more: Any) -> Any:
    stub = await made.stub(OverviewServiceStub, employee)
    asked = overview_service_pb2.GetOverviewRequest(customer_id=made.customers[customer])
    return await stub.GetOverview(asked, **more)


async def whole(made: Organisation, employee: int = 0, customer: int = 0, **more: Any) -> Any:
    """The overview, once every service that was started again answers."""

    async def complete() -> Any:
        found = await overview(made, employee, customer, **more)
        return found if not found.missing else None

    return await eventually(complete)


async def test_it_holds_what_every_service_knows(organisation: Organisation) -> None:
    async def touched() -> Any:
        found = await whole(organisation)
        return found if found.figures.HasField("last_touch_at") else None

    found = await eventually(touched)

    assert found.customer.id == organisation.customers[0]
    assert {contact.name for contact in found.contacts} == {f"Contact {found.customer.external_id}"}
    assert [tag.tag for tag in found.tags] == found.customer.tags
    assert [order.id for order in found.orders] == [organisation.orders[0]]
    assert organisation.tasks[0] in [task.id for task in found.tasks]
    assert [process.id for process in found.processes] == [organisation.processes[0]]
    assert (found.figures.open_tasks, found.figures.overdue_tasks) == (len(found.tasks), 0)
    assert found.figures.running_processes == 1
    assert [(m.currency_code, m.units) for m in found.figures.mrr] == [("NZD", PRICE)]
    assert [(m.currency_code, m.units) for m in found.figures.amount_this_year] == [("NZD", 12 * PRICE)]
    assert len(found.mrr) == 13
    assert found.mrr[-1].month == f"{business_today():%Y-%m}"
    assert found.health == found.health_weeks[0]
    assert len(found.health_weeks) == 2
    assert {trend.metric for trend in found.usage} >= {"active_users", "urgent_tickets_open"}
    assert [alert.customer_id for alert in found.alerts] == [organisation.customers[0]]
    assert found.timeline[-1].kind == timeline_service_pb2.TIMELINE_KIND_CREATED
    assert found.not_permitted == []


@pytest.mark.parametrize("down", list(PARTS))
async def test_what_a_service_that_is_down_would_say_is_named_and_the_rest_answers(
    organisation: Organisation, down: str
) -> None:
    services = organisation.services
    before = await whole(organisation)
    await services.stop(down)
    try:

        async def the_rest() -> Any:
            answer = await overview(organisation, 0, 0)
            return answer if set(answer.missing) == PARTS[down] else None

        found = await eventually(the_rest)  # a busy machine may let another one come too late
    finally:
        await services.start(down)
    assert found.not_permitted == []
    assert found.customer == before.customer
    assert found.contacts == before.contacts
    for other in PARTS.keys() - {down}:
        shown = {"tasks": "tasks", "health": "health_weeks", "revenue": "orders"}[other]
        assert getattr(found, shown) == getattr(before, shown)
    assert (await whole(organisation)).orders == before.orders


async def test_it_shows_what_the_services_themselves_show_the_caller(organisation: Organisation) -> None:
    for each in EVERYBODY:
        found, customer_id = await whole(organisation, each, each), organisation.customers[each]
        customers = await organisation.stub(CustomersServiceStub, each)
        tasks = await organisation.stub(TasksServiceStub, each)
        orders = await organisation.stub(OrdersServiceStub, each)
        health = await organisation.stub(HealthServiceStub, each)
        timeline = await organisation.stub(TimelineServiceStub, each)
        asked = customers_service_pb2.GetCustomerRequest(customer_id=customer_id)
        assert found.customer == (await customers.GetCustomer(asked)).customer
        listed = tasks_service_pb2.ListTasksRequest(customer_id=customer_id, states=OPEN)
        assert list(found.tasks) == list((await tasks.ListTasks(listed)).tasks)
        ordered = orders_service_pb2.ListOrdersRequest(customer_id=customer_id)
        assert list(found.orders) == list((await orders.ListOrders(ordered)).orders)
        weeks = health_service_pb2.ListHealthHistoryRequest(customer_id=customer_id)
        assert list(found.health_weeks) == list((await health.ListHealthHistory(weeks)).weeks)
        happened = timeline_service_pb2.ListTimelineRequest(customer_id=customer_id, page_size=20)
        assert list(found.timeline) == list((await timeline.ListTimeline(happened)).entries)


async def test_what_is_out_of_scope_is_not_found(organisation: Organisation) -> None:
    answer = await refused(overview(organisation, 0, 1))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")


async def test_a_deputy_sees_the_overview_that_the_absent_one_would(organisation: Organisation) -> None:
    absent, deputy = organisation.employees
    for name in ("customers", *PARTS):
        await tell_deputy(organisation.services, name, absent.id, deputy.id)
        await organisation.services.directory(name).look()
    found = await whole(organisation, 1, 0, metadata=acting_for(absent))
    assert [order.id for order in found.orders] == [organisation.orders[0]]


async def test_parts_that_the_caller_may_not_see_are_named(organisation: Organisation) -> None:
    roles = await organisation.stub(RolesServiceStub)
    key = f"ONLY_CUSTOMERS_{str(new_id())[-12:]}".upper()
    role = roles_service_pb2.CreateRoleRequest(
        request_id=str(new_id()), key=key, name=key, scope=permission_pb2.SCOPE_OWN,
        permissions=[permission_pb2.PERMISSION_CUSTOMERS_READ, permission_pb2.PERMISSION_HEALTH_READ],
    )  # fmt: skip
    await roles.CreateRole(role)
    people = await organisation.stub(EmployeesServiceStub)
    employee = organisation.employees[1]

    async def has_role(wanted: str) -> None:
        await people.UpdateEmployee(
            employees_service_pb2.UpdateEmployeeRequest(
                request_id=str(new_id()), employee_id=employee.id, department_id=employee.department_id, role_key=wanted
            )
        )
        await organisation.settled()

    await has_role(key)
    try:
        found = await whole(organisation, 1, 1)
    finally:
        await has_role(organisation.role_keys["OWN"])
    assert set(found.not_permitted) == PARTS["tasks"] | PARTS["revenue"]
    assert (len(found.orders), len(found.tasks), len(found.figures.mrr)) == (0, 0, 0)
    kinds = {entry.kind for entry in found.timeline}
    assert timeline_service_pb2.TIMELINE_KIND_HEALTH in kinds
    assert kinds.isdisjoint({timeline_service_pb2.TIMELINE_KIND_TASK, timeline_service_pb2.TIMELINE_KIND_CONTRACT})
    assert len(found.health_weeks) == 2


async def test_the_command_shows_it_as_a_page(organisation: Organisation) -> None:
    terminal = Terminal(organisation.services)
    known = (await whole(organisation)).customer

    async def shown() -> str:
        page = await terminal.answer("customers", "overview", known.id)
        return "" if "not answering now" in page else page

    page = await eventually(shown)
    for word in (known.name, known.number, "NZD 1,200.00", "Call", "Delivery", "timeline", "months"):
        assert word in page
    found = await terminal.json("customers", "overview", known.id)
    assert found["figures"]["runningProcesses"] == 1


async def test_the_command_finds_it_by_a_part_of_its_name(organisation: Organisation) -> None:
    terminal = Terminal(organisation.services)
    key = organisation.external_ids[0]

    async def shown() -> bool:
        return organisation.customers[0] in await terminal.answer("customers", "search", "name", key)

    assert await eventually(shown)
