"""Events of others: who our customers and employees are."""

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomersChanged
from kejing.identity.v1.events_pb2 import EmployeesChanged
from services.shared.db import Write
from services.shared.messaging.consumer import Handler
from services.tasks.storage import parties


async def keep_customers(write: Write, event: Event, changed: CustomersChanged) -> None:
    await parties.keep_customers(write, changed.customers)


async def keep_employees(write: Write, event: Event, changed: EmployeesChanged) -> None:
    await parties.keep_employees(write, changed.employees)


HANDLERS: dict[type[Message], Handler] = {CustomersChanged: keep_customers, EmployeesChanged: keep_employees}
