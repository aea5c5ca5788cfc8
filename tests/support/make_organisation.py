"""Makes an organisation with customers of whom every service knows something."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from kejing.common.v1 import condition_pb2, permission_pb2
from kejing.customers.v1 import (
    attributes_service_pb2,
    attributes_service_pb2_grpc,
    customers_service_pb2,
    customers_service_pb2_grpc,
    segments_service_pb2,
    segments_service_pb2_grpc,
    tags_service_pb2,
    tags_service_pb2_grpc,
)
from kejing.health.v1 import alerts_pb2, alerts_service_pb2, alerts_service_pb2_grpc
from kejing.identity.v1 import (
    departments_service_pb2,
    departments_service_pb2_grpc,
    employees_service_pb2,
    employees_service_pb2_grpc,
    roles_service_pb2,
    roles_service_pb2_grpc,
)
from kejing.revenue.v1 import order_pb2, orders_service_pb2, orders_service_pb2_grpc
from kejing.tasks.v1 import (
    follow_ups_service_pb2,
    follow_ups_service_pb2_grpc,
    process_definitions_service_pb2,
    process_definitions_service_pb2_grpc,
    process_records_service_pb2,
    process_records_service_pb2_grpc,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
)
from services.notifications.storage import inbox
from services.shared.ids import new_id
from tests.support.attributes import define
from tests.support.customers import bring
from tests.support.health import open_health
from tests.support.organisation import READS, SCOPED_SERVICES, Organisation
from tests.support.scope_plans import business_today
from tests.support.services import RunningServices
from tests.support.tasks import deadline_in, stage

PRICE = 1200
"""A month's revenue from each customer, so that a sum tells how many there are."""
GOOD = {"active_users": 9, "active_users_14d": 9, "tickets_opened": 0, "urgent_tickets_open": 0}
BAD = {**GOOD, "urgent_tickets_open": 3}


async def make_organisation(
    services: RunningServices, departments: int, employees: int, customers: int
) -> Organisation:
    """Departments, employees and customers; each customer with a contact, a task, a follow-up, a process, an order, an
    evaluated week, an alert, and a notice of it in everybody's inbox."""
    await services.start(*SCOPED_SERVICES)
    made = Organisation(services)
    word = str(new_id())[-12:]
    await _make_people(made, word, departments, employees)
    await _make_customers(made, word, customers)
    for customer_id in made.customers:
        await _make_work(made, word, customer_id)
    await _make_health(made)
    await _make_notices(made)
    return made


async def _make_people(made: Organisation, word: str, departments: int, employees: int) -> None:
    tree = await made.stub(departments_service_pb2_grpc.DepartmentsServiceStub)
    people = await made.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    roles = await made.stub(roles_service_pb2_grpc.RolesServiceStub)

    async def department(name: str, parent_id: str = "") -> str:
        request = departments_service_pb2.CreateDepartmentRequest(
            request_id=str(new_id()), name=f"{name}-{word}", parent_id=parent_id
        )
        return str((await tree.CreateDepartment(request)).department.id)

    made.company = await department("company")
    made.departments = [await department(f"d{number}", made.company) for number in range(departments)]
    for scope in ("OWN", "DEPARTMENT", "ALL"):
        key = made.role_keys[scope] = f"{scope}_{word}".upper().replace("-", "_")
        await roles.CreateRole(
            roles_service_pb2.CreateRoleRequest(
                request_id=str(new_id()),
                key=key,
                name=key,
                permissions=[*READS, permission_pb2.PERMISSION_TASKS_WRITE],
                scope=permission_pb2.Scope.Value(f"SCOPE_{scope}"),
            )
        )
    for number in range(employees):
        request = employees_service_pb2.CreateEmployeeRequest(
            request_id=str(new_id()),
            login=f"e{number}-{word}",
            display_name=f"E{number}",
            department_id=made.departments[0],
            role_key=made.role_keys["OWN"],
        )
        made.employees.append((await people.CreateEmployee(request)).employee)


async def _make_customers(made: Organisation, word: str, customers: int) -> None:
    made.external_ids = [f"org-{word}-{number:03}" for number in range(customers)]
    attribute = await define(made.services, "OPTION", options=["old"])
    made.attribute = attribute.key
    soon, gone = business_today() + timedelta(days=90), business_today() - timedelta(days=9)
    rows = [
        # Every third one has churned.
        {
            "external_id": key,
            "name": f"Name {key}",
            "last_contract_end": (gone if number % 3 == 0 else soon).isoformat(),
            made.attribute: "old",
        }
        for number, key in enumerate(made.external_ids)
    ]
    await bring(made.services, "ImportCustomers", rows)
    attribute.options[:] = ["new"]
    definitions = await made.stub(attributes_service_pb2_grpc.AttributesServiceStub)
    await definitions.UpdateAttribute(
        attributes_service_pb2.UpdateAttributeRequest(request_id=str(new_id()), attribute=attribute)
    )
    contacts = [
        {"customer_external_id": key, "external_id": number, "name": f"Contact {key}"}
        for key in made.external_ids
        for number in ("1", "2")
    ]
    await bring(made.services, "ImportContacts", contacts)
    stub = await made.stub(customers_service_pb2_grpc.CustomersServiceStub)
    found: dict[str, str] = {}
    for view in (customers_service_pb2.CUSTOMER_VIEW_ALL, customers_service_pb2.CUSTOMER_VIEW_CHURNED):
        listed = customers_service_pb2.ListCustomersRequest(
            filter=customers_service_pb2.CustomerFilter(view=view, name_prefix=f"Name org-{word}"), page_size=500
        )
        found |= {customer.external_id: customer.id for customer in (await stub.ListCustomers(listed)).customers}
    made.customers = [found[key] for key in made.external_ids]
    tags = await made.stub(tags_service_pb2_grpc.TagsServiceStub)
    made.tag = f"all-{word}"
    # One tag that all of them carry, and one of two others beside it.
    for tag, customer_ids in ((made.tag, made.customers), *((f"t{n}-{word}", made.customers[n::2]) for n in (0, 1))):
        await tags.TagCustomers(
            tags_service_pb2.TagCustomersRequest(request_id=str(new_id()), tag=tag, customer_ids=customer_ids)
        )
    groups = await made.stub(tags_service_pb2_grpc.GroupsServiceStub)
    group = tags_service_pb2.CreateGroupRequest(request_id=str(new_id()), name=f"group-{word}")
    made.group_id = (await groups.CreateGroup(group)).group.id
    await groups.GroupCustomers(
        tags_service_pb2.GroupCustomersRequest(
            request_id=str(new_id()), group_id=made.group_id, customer_ids=made.customers
        )
    )
    made.everybody.comparison.CopyFrom(
        condition_pb2.Comparison(field="name", operator=condition_pb2.OPERATOR_STARTS_WITH, value=f"Name org-{word}")
    )
    segments = await made.stub(segments_service_pb2_grpc.SegmentsServiceStub)
    segment = segments_service_pb2.CreateSegmentRequest(
        request_id=str(new_id()), name=f"segment-{word}", condition=made.everybody
    )
    made.segment_id = (await segments.CreateSegment(segment)).segment.id


async def _make_work(made: Organisation, word: str, customer_id: str) -> None:
    services = made.services
    tasks = await made.stub(tasks_service_pb2_grpc.TasksServiceStub)
    task = tasks_service_pb2.CreateTaskRequest(
        request_id=str(new_id()), customer_id=customer_id, title="Call", theme_key="value", deadline=deadline_in(days=3)
    )
    made.tasks.append((await tasks.CreateTask(task)).task.id)
    follow_ups = await made.stub(follow_ups_service_pb2_grpc.FollowUpsServiceStub)
    follow_up = follow_ups_service_pb2.CreateFollowUpRequest(
        request_id=str(new_id()), customer_id=customer_id, theme_key="value", content="We spoke.",
        channel=follow_ups_service_pb2.CHANNEL_CALL,
    )  # fmt: skip
    made.follow_ups.append((await follow_ups.CreateFollowUp(follow_up)).follow_up.id)
    await _make_definition(made, word)
    records = await services.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub, "machine:processes")
    start = process_records_service_pb2.RecordStartRequest(
        process_id=str(new_id()), customer_id=customer_id, definition_key=f"d-{word}",
        owner_id=(await _administrator(made)).id,
    )  # fmt: skip
    made.processes.append((await records.RecordStart(start)).process.id)
    orders = await made.stub(orders_service_pb2_grpc.OrdersServiceStub)
    today = business_today()
    order = orders_service_pb2.CreateOrderRequest(
        request_id=str(new_id()), number=f"HT-{new_id()}", customer_id=customer_id, product="Standard",
        amount=Money(currency_code="NZD", units=12 * PRICE), signed_date=_day(today), counts_to_mrr=True,
        term_start=_day(today.replace(day=1)), term_end=_day(_year_after(today)),
        status=order_pb2.ORDER_STATUS_EFFECTIVE,
    )  # fmt: skip
    made.orders.append((await orders.CreateOrder(order)).order.id)


async def _make_definition(made: Organisation, word: str) -> None:
    if made.processes:
        return
    stub = await made.stub(process_definitions_service_pb2_grpc.ProcessDefinitionsServiceStub)
    create = process_definitions_service_pb2.CreateProcessDefinitionRequest(
        request_id=str(new_id()), key=f"d-{word}", name="Delivery", theme_key="delivery",
        stages=[stage("one"), stage("two")],
    )  # fmt: skip
    draft = (await stub.CreateProcessDefinition(create)).definition
    publish = process_definitions_service_pb2.PublishProcessDefinitionRequest(
        request_id=str(new_id()), definition_id=draft.id
    )
    await stub.PublishProcessDefinition(publish)


async def _make_health(made: Organisation) -> None:
    """Two weeks, of which the second is worse: every customer gets an alert."""
    health = await open_health(made.services)
    await made.settled()
    alerts = await made.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    subscription = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    made_subscription = (await alerts.CreateAlertSubscription(subscription)).subscription
    for week, figures in ((health.last.previous, GOOD), (health.last, BAD)):
        for customer_id in made.customers:
            await health.figures(UUID(customer_id), week, figures)
        run = await health.new_run(week)
    raised = {alert.customer_id for alert in await health.raise_alerts(run)}
    assert raised >= set(made.customers)
    await alerts.DeleteAlertSubscription(
        alerts_service_pb2.DeleteAlertSubscriptionRequest(
            request_id=str(new_id()), subscription_id=made_subscription.id
        )
    )


async def _make_notices(made: Organisation) -> None:
    async with made.services.db("notifications").transaction(actor="machine:test", unscoped="told by a test") as write:
        for customer_id, task_id in zip(made.customers, made.tasks, strict=True):
            item = {"cause": f"task/{task_id}", "kind": "TASK_OVERDUE", "customer_id": UUID(customer_id),
                    "task_id": UUID(task_id), "facts": {}, "late_by": timedelta()}  # fmt: skip
            await inbox.add(write, [UUID(employee.id) for employee in made.employees], item, business_today())


async def _administrator(made: Organisation) -> Any:
    stub = await made.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    return (await stub.GetMe(employees_service_pb2.GetMeRequest())).employee


def _day(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def _year_after(today: date) -> date:
    """The last day of the twelve whole months that begin with this one."""
    return date(today.year + 1, today.month, 1) - timedelta(days=1)
