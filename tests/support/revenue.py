"""Customers as the revenue service hears of them."""

from uuid import UUID

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.customer_pb2 import OwnerRole
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from services.revenue import consumers
from services.shared.access.projection import put_owners
from services.shared.ids import new_id
from tests.support.services import RunningServices


async def known_customer(services: RunningServices, *owners: str) -> UUID:
    """A new customer that an event told of, with the external id X-<id>. `owners`: at most three employees' ids."""
    facts = facts_of(new_id(), *owners)
    async with services.db("revenue").transaction(actor="machine:test", unscoped="as an event tells it") as write:
        await put_owners(write, [facts])
        await consumers.customers_changed(write, Event(), CustomersChanged(customers=[facts]))
    return UUID(facts.id)


def facts_of(customer_id: UUID, *owners: str, version: int = 1) -> CustomerFacts:
    """What an event tells of a customer; `owners` as in known_customer."""
    facts = CustomerFacts(
        id=str(customer_id), external_id=f"X-{customer_id}", number=f"CUS-{customer_id}", version=version
    )
    for role, owner in zip(OwnerRole.values()[1:], owners, strict=False):
        facts.owners.add(role=role, employee_id=owner)
    return facts
