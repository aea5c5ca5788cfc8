"""What others tell: customers. Usage that waited for a customer takes effect when he arrives."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date
from uuid import UUID

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomersChanged
from kejing.health.v1.usage_pb2 import UsageRow
from services.health.api.usage_rows import day_figures, key_of
from services.health.storage import customers, usage
from services.health.storage.usage import DayFigures
from services.shared.db import Write
from services.shared.messaging.consumer import Handler


async def customers_changed(write: Write, event: Event, payload: CustomersChanged) -> None:
    rows = [
        {
            "id": UUID(facts.id),
            "external_id": facts.external_id,
            "seats": facts.seats if facts.HasField("seats") else None,
            "created_at": facts.created_at.ToDatetime(UTC),
            "version": facts.version,
        }
        for facts in payload.customers
    ]
    await usage.hold_parked(write, alone=True)
    await customers.project(write, rows)
    ids = {key: UUID(facts.id) for facts in payload.customers for key in (facts.id, facts.external_id)}
    waiting: dict[str, list[DayFigures]] = defaultdict(list)
    for parked in await usage.unpark(write, list(ids)):
        row = UsageRow.FromString(parked.row)
        day = date(row.day.year, row.day.month, row.day.day)
        waiting[parked.source].append(day_figures(row, day, ids[key_of(row)]))
    for source, figures in waiting.items():
        await usage.take(write, source, figures)


HANDLERS: Mapping[type[Message], Handler] = {CustomersChanged: customers_changed}
