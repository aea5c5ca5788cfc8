"""SearchCustomers, and keeping what customers are found by up to date."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

from google.protobuf.message import Message
from psycopg import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import events_pb2
from kejing.customers.v1.events_pb2 import TouchKind
from services.customers.api.wire import to_contact, to_customer
from services.customers.storage import contacts, customers, search, search_index
from services.shared.access import Scope
from services.shared.db import Database, Write
from services.shared.logging import get_logger
from services.shared.messaging.consumer import Handler

DEFAULT_LIMIT = 20
AT_ONCE = 200
"""So many customers are taken up in one transaction: some hundred milliseconds."""


async def found(
    db: Database, scope: Scope, request: pb.SearchCustomersRequest, today: date
) -> pb.SearchCustomersResponse:
    """Customers in scope; `today` is the business date by which one counts as churned."""
    async with db.read() as read:
        hits = await search.search(read, scope, request.text, request.limit or DEFAULT_LIMIT)
        rows = {row.id: row for row in await customers.get_many(read, scope, [hit.customer_id for hit in hits])}
        people = await contacts.get_many(read, scope, [hit.contact_id for hit in hits if hit.contact_id])
    answer = pb.SearchCustomersResponse()
    for hit in hits:
        # What was erased, merged or moved out of scope a moment ago may still be found, and isn't shown.
        if hit.customer_id in rows and (hit.contact_id is None or hit.contact_id in people):
            answer.hits.add(
                customer=to_customer(rows[hit.customer_id], today),
                match=pb.SearchMatch.Value(f"SEARCH_MATCH_{hit.match}"),
                contact=to_contact(people[hit.contact_id]) if hit.contact_id else None,
            )
    return answer


async def _customers_changed(write: Write, _event: Event, payload: events_pb2.CustomersChanged) -> None:
    await _refresh(write, (customer.id for customer in payload.customers))


async def _customers_touched(write: Write, _event: Event, payload: events_pb2.CustomersTouched) -> None:
    """Of what is told of customers only changes of contacts are told nowhere else."""
    of_contacts = TouchKind.TOUCH_KIND_CONTACT_CHANGED
    await _refresh(write, (id_ for touch in payload.touches if touch.kind == of_contacts for id_ in touch.customer_ids))


async def _refresh(write: Write, customer_ids: Iterable[str]) -> None:
    if ids := sorted(set(map(UUID, customer_ids))):
        await search_index.refresh(write, ids)


HANDLERS: Mapping[type[Message], Handler] = {
    events_pb2.CustomersChanged: _customers_changed,
    events_pb2.CustomersTouched: _customers_touched,
}
"""This service's own events: they tell of every change, however it was made, and wait where there are many."""


async def find_missing(db: Database) -> None:
    """Takes up customers that no event told of since there is a search; for ever after it does nothing.

    Outages of the database are waited out.
    """
    after = UUID(int=0)
    while True:
        try:
            async with db.read() as read:
                ids = await search_index.missing(read, after, AT_ONCE)
            if not ids:
                break
            async with db.transaction(actor="machine:customers") as write:
                await search_index.refresh(write, ids)
            after = ids[-1]
        except (SQLAlchemyError, OperationalError, OSError) as error:
            get_logger().warning("search waits", error=type(error).__name__)
            await asyncio.sleep(1)
    await asyncio.Event().wait()
