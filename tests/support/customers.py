"""Customers, contacts and owners for tests, brought in the way that people bring them: as a file with a mapping."""

import csv
import io
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customer_pb2, events_pb2, import_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from services.customers.storage.tables import customers
from services.shared.access.tables import employees
from services.shared.db.tables import outbox
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.services import RunningServices

REQUESTS = {
    "ImportCustomers": pb.ImportCustomersRequest,
    "ImportContacts": pb.ImportContactsRequest,
    "ImportOwners": pb.ImportOwnersRequest,
}


def plain_mapping(fields: Iterable[str], **more: Any) -> import_pb2.Mapping:
    """A mapping of columns that are named as the fields are."""
    return import_pb2.Mapping(columns={name: import_pb2.ColumnMapping(column=name) for name in fields}, **more)


def csv_of(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


async def upload(
    services: RunningServices,
    rpc: str,
    content: bytes,
    mapping: import_pb2.Mapping,
    *,
    source: str = "test",
    caller: str = "employee:admin",
    piece: int = 1000,
) -> Any:
    """Calls ImportCustomers, ImportContacts or ImportOwners with a file in pieces of `piece` bytes.

    Answers the ImportResult.
    """
    request = REQUESTS[rpc]
    start = import_pb2.ImportStart(request_id=str(uuid.uuid4()), source=source, mapping=mapping)

    async def parts() -> AsyncIterator[Any]:
        yield request(start=start)
        for position in range(0, len(content), piece):
            yield request(data=content[position : position + piece])

    stub = await services.stub(CustomersServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in(caller)}"),)
    return (await getattr(stub, rpc)(parts(), metadata=metadata, timeout=60)).result


async def bring(services: RunningServices, rpc: str, rows: Sequence[Mapping[str, object]]) -> Any:
    """Imports rows whose keys are the fields' names; answers the ImportResult."""
    return await upload(services, rpc, csv_of(rows), plain_mapping(rows[0]))


def fresh(word: str = "X") -> str:
    return f"{word}-{uuid.uuid4().hex[:10]}"


def counts(result: Any) -> dict[str, int]:
    words = ("rows_read", "created", "updated", "unchanged", "superseded", "rejected")
    return {word: getattr(result, word) for word in words if getattr(result, word)}


async def by_external_id(services: RunningServices, external_id: str) -> customer_pb2.Customer:
    async with services.db("customers").read(unscoped="a test") as read:
        found = await read.execute(select(customers.c.id).where(customers.c.external_id == external_id))
    stub = await services.stub(CustomersServiceStub)
    answer = await stub.GetCustomer(pb.GetCustomerRequest(customer_id=str(found.scalar_one())))
    return answer.customer  # type: ignore[no-any-return]


async def told(services: RunningServices, external_id: str) -> list[events_pb2.CustomerFacts]:
    """What events told of a customer, oldest first."""
    async with services.db("customers").read() as read:
        rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
    facts: list[events_pb2.CustomerFacts] = []
    for row in rows:
        payload = events_pb2.CustomersChanged()
        Event.FromString(row).payload.Unpack(payload)
        assert len(payload.customers) <= 500
        facts += [each for each in payload.customers if each.external_id == external_id]
    return facts


async def colleague(services: RunningServices, role_key: str = "CSM", department_id: str = "") -> Any:
    """A new employee whom customers knows of."""
    employee = await new_employee(services, role_key, department_id)

    async def is_known() -> bool:
        async with services.db("customers").read() as read:
            found = await read.execute(select(employees.c.id).where(employees.c.login == employee.login))
        return found.scalar() is not None

    await services.start("customers")
    await eventually(is_known)
    return employee


async def own(services: RunningServices, external_id: str, login: str, role: str = "CSM", **period: str) -> None:
    """Makes the employee an owner of the customer; `period`: valid_from and valid_to."""
    row = {"customer_external_id": external_id, "role": role, "login": login, **period}
    assert (await bring(services, "ImportOwners", [row])).rejected == 0


async def everything(services: RunningServices) -> tuple[int, int]:
    """How many customers and events there are."""
    async with services.db("customers").read(unscoped="a test") as read:
        many = [
            (await read.execute(select(func.count()).select_from(table))).scalar_one() for table in (customers, outbox)
        ]
    return many[0], many[1]
