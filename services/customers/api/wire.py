"""Customers on the wire: answers and events."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.customers.v1 import customer_pb2, events_pb2
from kejing.health.v1 import health_pb2
from services.customers.domain.churn import is_churned
from services.customers.storage import customers
from services.shared.db import Write
from services.shared.rpc.wire import to_date

EVENT_ITEMS = 500


def to_customer(row: Row[Any], today: date) -> customer_pb2.Customer:
    """`today` is the business date by which a customer counts as churned."""
    customer = customer_pb2.Customer(
        id=str(row.id),
        number=row.number,
        external_id=row.external_id,
        source=row.source,
        name=row.name,
        short_name=row.short_name or "",
        industry=row.industry or "",
        region=row.region or "",
        kind=to_kind(row.kind),
        size=row.size or "",
        value_tier=row.value_tier or "",
        seats=row.seats,
        first_sign_date=to_date(row.first_sign_date),
        last_contract_end=to_date(row.last_contract_end),
        churned=is_churned(row.last_contract_end, today),
        owners=to_owners(row.owners),
        version=row.version,
        health_status=health_pb2.HealthStatus.Value(f"HEALTH_STATUS_{row.health_status or 'NOT_COMPUTED'}"),
        health_week=row.health_week or "",
    )
    customer.created_at.FromDatetime(row.created_at)
    customer.updated_at.FromDatetime(row.updated_at)
    return customer


def to_facts(row: Row[Any]) -> events_pb2.CustomerFacts:
    is_person = row.kind == "INDIVIDUAL"  # a person's name is personal data, which no event carries
    facts = events_pb2.CustomerFacts(
        id=str(row.id),
        number=row.number,
        external_id=row.external_id,
        name="" if is_person else row.name,
        short_name="" if is_person else row.short_name or "",
        kind=to_kind(row.kind),
        seats=row.seats,
        last_contract_end=to_date(row.last_contract_end),
        owners=to_owners(row.owners),
        version=row.version,
    )
    facts.created_at.FromDatetime(row.created_at)
    return facts


def to_contact(row: Row[Any]) -> customer_pb2.Contact:
    return customer_pb2.Contact(
        id=str(row.id),
        customer_id=str(row.customer_id),
        external_id=row.external_id,
        name=row.name,
        phone=row.phone or "",
        wechat_id=row.wechat_id or "",
        post=row.post or "",
        email=row.email or "",
    )


def to_owners(pairs: list[list[str]] | None) -> list[customer_pb2.Owner]:
    """`pairs`: (role, employee id) as stored."""
    owners = [
        customer_pb2.Owner(role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{role}"), employee_id=employee_id)
        for role, employee_id in pairs or ()
    ]
    return sorted(owners, key=lambda owner: owner.role)


def to_kind(kind: str) -> customer_pb2.CustomerKind.ValueType:
    return customer_pb2.CustomerKind.Value(f"CUSTOMER_KIND_{kind}")


async def emit_changed(write: Write, ids: Sequence[UUID]) -> None:
    """Tells the present facts of the customers `ids`, 500 an event."""
    for start in range(0, len(ids), EVENT_ITEMS):
        rows = await customers.get_many(write.connection, ids[start : start + EVENT_ITEMS])
        write.emit(events_pb2.CustomersChanged(customers=map(to_facts, rows)))
