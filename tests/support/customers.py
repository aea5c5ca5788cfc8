"""Customers, contacts and owners for tests, brought in the way that people bring them: as a file with a mapping."""

import csv
import io
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customer_pb2, events_pb2, imports_service_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.customers.storage.tables import customers
from services.shared.access.tables import employees
from services.shared.db.tables import outbox
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.services import RunningServices

KINDS = {
    "ImportCustomers": imports_service_pb2.IMPORT_KIND_CUSTOMERS,
    "ImportContacts": imports_service_pb2.IMPORT_KIND_CONTACTS,
    "ImportOwners": imports_service_pb2.IMPORT_KIND_OWNERS,
}


@dataclass(frozen=True)
class Brought:
    """An import that ended, and its rejected rows: the first 500."""

    run: imports_service_pb2.Import
    rejected_rows: Sequence[imports_service_pb2.RejectedRow]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)


def plain_mapping(fields: Iterable[str], **more: Any) -> imports_service_pb2.Mapping:
    """A mapping of columns that are named as the fields are."""
    return imports_service_pb2.Mapping(
        columns={name: imports_service_pb2.ColumnMapping(column=name) for name in fields}, **more
    )


def csv_of(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


async def upload(
    services: RunningServices,
    what: str,
    content: bytes,
    mapping: imports_service_pb2.Mapping,
    *,
    source: str = "test",
    caller: str = "employee:admin",
    piece: int = 1000,
) -> Brought:
    """Takes a file up in pieces of `piece` bytes and brings it in. `what`: one of KINDS."""
    run = await send(services, what, content, mapping, source=source, caller=caller, piece=piece)
    return await finish(services, run.id)


async def send(
    services: RunningServices,
    what: str,
    content: bytes,
    mapping: imports_service_pb2.Mapping,
    *,
    source: str = "test",
    caller: str = "employee:admin",
    piece: int = 100_000,
    request_id: str = "",
) -> imports_service_pb2.Import:
    """Takes a file up, which nobody brings in yet."""
    start = imports_service_pb2.ImportStart(
        request_id=request_id or str(uuid.uuid4()), source=source, kind=KINDS[what], mapping=mapping
    )

    async def parts() -> AsyncIterator[imports_service_pb2.UploadFileRequest]:
        yield imports_service_pb2.UploadFileRequest(start=start)
        for position in range(0, len(content), piece):
            yield imports_service_pb2.UploadFileRequest(data=content[position : position + piece])

    stub = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in(caller)}"),)
    answer = await stub.UploadFile(parts(), metadata=metadata, timeout=60)
    return getattr(answer, "import")  # type: ignore[no-any-return]


async def finish(services: RunningServices, import_id: str) -> Brought:
    """Lets an import get on until it ends, as its workflow does."""
    stub = await services.stub(ImportsServiceStub, "machine:processes")
    request = imports_service_pb2.AdvanceImportRequest(import_id=import_id)
    while True:
        run = getattr(await stub.AdvanceImport(request, timeout=60), "import")
        if run.state != imports_service_pb2.IMPORT_STATE_RUNNING:
            break
    people = await services.stub(ImportsServiceStub)
    asked = imports_service_pb2.ListRejectedRowsRequest(import_id=import_id, page_size=500)
    return Brought(run, (await people.ListRejectedRows(asked)).rows)


async def bring(services: RunningServices, what: str, rows: Sequence[Mapping[str, object]]) -> Brought:
    """Imports rows whose keys are the fields' names."""
    return await upload(services, what, csv_of(rows), plain_mapping(rows[0]))


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
    """How many customers and events there are, but for those that tell of imports themselves."""
    own = outbox.c.subject.contains("customers.import.changed")
    async with services.db("customers").read(unscoped="a test") as read:
        known = (await read.execute(select(func.count()).select_from(customers))).scalar_one()
        told_of = (await read.execute(select(func.count()).select_from(outbox).where(~own))).scalar_one()
    return known, told_of


async def touches(services: RunningServices, kind: str) -> set[str]:
    """The external ids of the customers of whom an event told such a touch (TouchKind)."""
    async with services.db("customers").read(unscoped="a test") as read:
        rows = (await read.execute(select(outbox.c.event))).scalars().all()
        known = {str(row.id): row.external_id for row in await read.execute(select(customers))}
    found = set()
    for row in rows:
        payload = events_pb2.CustomersTouched()
        if Event.FromString(row).payload.Unpack(payload):
            wanted = events_pb2.TouchKind.Value(f"TOUCH_KIND_{kind}")
            found |= {known[id_] for touch in payload.touches if touch.kind == wanted for id_ in touch.customer_ids}
    return found
