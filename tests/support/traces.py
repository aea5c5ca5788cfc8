"""An individual whose personal data lie in every place where the product keeps any."""

import uuid
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from google.type.money_pb2 import Money

from kejing.customers.v1 import contacts_service_pb2 as contacts_pb
from kejing.customers.v1 import customers_service_pb2 as customers_pb
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.revenue.v1 import order_pb2
from kejing.revenue.v1 import orders_service_pb2 as orders_pb
from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
from kejing.tasks.v1 import (
    follow_ups_service_pb2,
    follow_ups_service_pb2_grpc,
    process_definitions_service_pb2,
    process_definitions_service_pb2_grpc,
    process_pb2,
    process_records_service_pb2,
    process_records_service_pb2_grpc,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
)
from services.shared.clock import business_date, utc_now
from services.shared.ids import new_id
from services.shared.rpc.wire import to_date
from tests.support.attributes import define
from tests.support.customers import Brought, by_external_id, csv_of, fresh, plain_mapping, upload
from tests.support.services import RunningServices
from tests.support.tasks import deadline_in, stage

NATIONAL_ID = "11010519491231002X"


@dataclass
class Traces:
    """`mark` stands before each of `places` in a text of its own, and in no other customer's."""

    customer_id: str
    external_id: str
    mark: str
    keys: dict[str, str]
    """By type: the attributes that the customer has."""

    places = (
        "name", "short", "attribute", "contact", "other contact", "post", "old post", "rejected", "content", "feedback",
        "next", "title", "description", "postponed", "cancelled", "returned", "void",
    )  # fmt: skip

    def row(self) -> dict[str, str]:
        return {
            "external_id": self.external_id,
            "name": f"{self.mark} name",
            "short_name": f"{self.mark} short",
            "kind": "INDIVIDUAL",
            "region": "North",
            self.keys["NATIONAL_ID"]: NATIONAL_ID,
            self.keys["EMAIL"]: f"{self.mark}@example.com",
        }

    def contacts(self) -> list[dict[str, str]]:
        person = {"customer_external_id": self.external_id, "external_id": "1", "name": f"{self.mark} contact"}
        other = {**person, "external_id": "2", "name": f"{self.mark} other contact"}
        wrong = {**person, "external_id": "3", "name": f"{self.mark} rejected"}
        return [
            {**person, "phone": "13800138000", "email": f"{self.mark}@example.org", "post": f"{self.mark} post"},
            {**other, "phone": "", "email": "", "post": f"{self.mark} old post"},
            {**wrong, "phone": "", "email": f"{self.mark} at example.org", "post": ""},
        ]

    async def bring_again(self, services: RunningServices) -> Brought:
        """The same customer and a good contact once more; answers what came of the contact."""
        await _bring(services, "ImportCustomers", [self.row()], self.external_id)
        return await _bring(services, "ImportContacts", self.contacts()[:1], self.external_id)


async def leave_traces(services: RunningServices) -> Traces:
    mark = f"mk{uuid.uuid4().hex[:12]}"
    keys = {kind: (await define(services, kind, **more)).key for kind, more in
            {"NATIONAL_ID": {}, "EMAIL": {}, "TEXT": {"personal": True}}.items()}  # fmt: skip
    traces = Traces("", fresh("traces").lower(), mark, keys)
    assert (
        await _bring(services, "ImportCustomers", [traces.row()], traces.external_id, ours=[keys["TEXT"]])
    ).created == 1
    traces.customer_id = (await by_external_id(services, traces.external_id)).id
    assert (await _bring(services, "ImportContacts", traces.contacts(), traces.external_id)).rejected == 1
    changed = [{**traces.contacts()[1], "post": f"{mark} post"}]
    assert (await _bring(services, "ImportContacts", changed, traces.external_id)).updated == 1
    customers = await services.stub(CustomersServiceStub)
    for value in (f"{mark} attribute", ""):
        await customers.UpdateCustomer(
            customers_pb.UpdateCustomerRequest(
                request_id=fresh(), customer_id=traces.customer_id, values={keys["TEXT"]: value}
            )
        )
    await _merge(services, traces.customer_id)
    await _work(services, traces)
    await _process(services, traces)
    await _order(services, traces)
    return traces


async def _bring(services: RunningServices, what: str, rows: Any, source: str, **more: Any) -> Brought:
    return await upload(services, what, csv_of(rows), plain_mapping(rows[0], **more), source=source)


async def _merge(services: RunningServices, customer_id: str) -> None:
    stub = await services.stub(ContactsServiceStub)
    listed = (await stub.ListContacts(contacts_pb.ListContactsRequest(customer_id=customer_id))).contacts
    ids = [contact.id for contact in listed]
    await stub.MergeContacts(contacts_pb.MergeContactsRequest(request_id=fresh(), into_id=ids[0], contact_ids=ids[1:]))


async def _work(services: RunningServices, traces: Traces) -> None:
    mark, customer_id = traces.mark, traces.customer_id
    follow_ups = await services.stub(follow_ups_service_pb2_grpc.FollowUpsServiceStub)
    await follow_ups.CreateFollowUp(
        follow_ups_service_pb2.CreateFollowUpRequest(
            request_id=fresh(), customer_id=customer_id, theme_key="value",
            channel=follow_ups_service_pb2.CHANNEL_CALL, content=f"{mark} content",
            customer_feedback=f"{mark} feedback", next_step=f"{mark} next",
        )
    )  # fmt: skip
    tasks = await services.stub(tasks_service_pb2_grpc.TasksServiceStub)
    request = tasks_service_pb2.CreateTaskRequest(
        request_id=fresh(), customer_id=customer_id, title=f"{mark} title", description=f"{mark} description",
        theme_key="value", deadline=deadline_in(days=3),
    )  # fmt: skip
    task_id = (await tasks.CreateTask(request)).task.id
    await tasks.PostponeTask(
        tasks_service_pb2.PostponeTaskRequest(
            request_id=fresh(), task_id=task_id, deadline=deadline_in(days=9), reason=f"{mark} postponed"
        )
    )
    await tasks.CancelTask(
        tasks_service_pb2.CancelTaskRequest(request_id=fresh(), task_id=task_id, reason=f"{mark} cancelled")
    )


async def _process(services: RunningServices, traces: Traces) -> None:
    definitions = await services.stub(process_definitions_service_pb2_grpc.ProcessDefinitionsServiceStub)
    create = process_definitions_service_pb2.CreateProcessDefinitionRequest(
        request_id=fresh(), key=f"d-{traces.mark[2:]}", name="Delivery", theme_key="delivery",
        stages=[stage("one"), stage("two")],
    )  # fmt: skip
    draft = (await definitions.CreateProcessDefinition(create)).definition
    await definitions.PublishProcessDefinition(
        process_definitions_service_pb2.PublishProcessDefinitionRequest(request_id=fresh(), definition_id=draft.id)
    )
    employees = await services.stub(EmployeesServiceStub)
    admin = (await employees.GetMe(employees_pb.GetMeRequest())).employee.id
    records = await services.stub(process_records_service_pb2_grpc.ProcessRecordsServiceStub, "machine:processes")
    start = process_records_service_pb2.RecordStartRequest(
        process_id=str(new_id()), customer_id=traces.customer_id, definition_key=draft.key, owner_id=admin
    )
    process = (await records.RecordStart(start)).process
    action_id = fresh()
    await records.KeepReason(
        process_records_service_pb2.KeepReasonRequest(action_id=action_id, reason=f"{traces.mark} returned")
    )
    await records.RecordTransition(
        process_records_service_pb2.RecordTransitionRequest(
            process_id=process.id, expected_revision=process.revision, action_id=action_id,
            action=process_pb2.PROCESS_ACTION_TERMINATE,
        )
    )  # fmt: skip


async def _order(services: RunningServices, traces: Traces) -> None:
    orders = await services.stub(OrdersServiceStub)
    today = business_date(utc_now(), ZoneInfo("Asia/Shanghai"))
    request = orders_pb.CreateOrderRequest(
        request_id=fresh(), number=fresh("HT"), customer_id=traces.customer_id, product="Standard",
        amount=Money(currency_code="CNY", units=1200), signed_date=to_date(today), counts_to_mrr=True,
        term_start=to_date(today.replace(month=1, day=1)), term_end=to_date(today.replace(month=12, day=31)),
        status=order_pb2.ORDER_STATUS_EFFECTIVE,
    )  # fmt: skip
    order_id = (await orders.CreateOrder(request)).order.id
    await orders.VoidOrder(
        orders_pb.VoidOrderRequest(request_id=fresh(), order_id=order_id, reason=f"{traces.mark} void")
    )
