"""LinkCustomer: customers that several sources know."""

from typing import Any

from kejing.customers.v1 import customer_pb2
from services.customers.storage import links, parents
from services.shared.db import Write
from services.shared.errors import AlreadyExists, FailedPrecondition, NotFound


async def link(write: Write, customer: Any, asked: customer_pb2.SourceLink) -> None:
    """Says that the source knows the customer as `asked`. Raises AlreadyExists (LINK_EXISTS)."""
    held_by = await links.holder(write, asked.source, asked.external_id)
    if held_by not in (None, customer.id):
        raise AlreadyExists(
            "LINK_EXISTS", f"{asked.external_id} of {asked.source} is customer {held_by}", customer_id=held_by
        )
    if held_by is None:
        await links.put(write, asked.source, asked.external_id, customer.id)
        await parents.find(write, [customer.id])


async def unlink(write: Write, customer: Any, asked: customer_pb2.SourceLink) -> None:
    """Takes that back. Raises NotFound (LINK_NOT_FOUND) or FailedPrecondition (LAST_LINK)."""
    if (customer.source, customer.external_id) == (asked.source, asked.external_id):
        raise FailedPrecondition("LAST_LINK", f"{asked.source} created the customer; that link stays")
    if not await links.take(write, asked.source, asked.external_id, customer.id):
        raise NotFound("link", f"{asked.source} {asked.external_id}")
