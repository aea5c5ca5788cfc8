"""Events of others: which customers there are."""

from collections.abc import Mapping
from uuid import UUID

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import events_pb2
from services.revenue.storage import customers
from services.shared.db import Write
from services.shared.messaging.consumer import Handler


async def customers_changed(write: Write, event: Event, payload: events_pb2.CustomersChanged) -> None:
    rows = [
        {"id": UUID(each.id), "external_id": each.external_id, "number": each.number, "version": each.version}
        for each in payload.customers
    ]
    if rows:
        await customers.project(write, rows)


HANDLERS: Mapping[type[Message], Handler] = {events_pb2.CustomersChanged: customers_changed}
