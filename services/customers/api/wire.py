"""Customers on the wire: answers and events."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.customers.v1 import customer_pb2, events_pb2
from kejing.health.v1 import health_pb2
from services.customers.domain.churn import is_churned
from services.customers.storage import customers
from services.shared.access import EVERYTHING
from services.shared.db import Write
from services.shared.rpc.wire import put_timestamp, to_date

EVENT_ITEMS = 500
AT_ONCE = 40
EVER, OPEN = date.min.isoformat(), date.max.isoformat()


def to_customer(row: Any, today: date) -> customer_pb2.Customer:
    """`today` is the business date by which a customer counts as churned."""
    customer = customer_pb2.Customer(
        id=str(row.id),
        number=row.number,
        external_id=row.external_id,
        source=row.source,
        name=row.name,
        short_name=row.short_name,
        industry=row.industry,
        region=row.region,
        kind=to_kind(row.kind),
        size=row.size,
        value_tier=row.value_tier,
        seats=row.seats,
        churned=is_churned(row.last_contract_end, today),
        version=row.version,
        health_status=to_health(row.health_status or "NOT_COMPUTED"),
        health_week=row.health_week,
        credit_code=row.credit_code,
        parent_id=str(row.parent_id) if row.parent_id else "",
        attributes=row.attributes or None,
    )
    customer.links.add(source=row.source, external_id=row.external_id)
    for link in sorted(row.links):
        source, _, external_id = link.partition(" ")
        customer.links.add(source=source, external_id=external_id)
    # Messages within it cost more than all the rest, and are alike on many customers: they are merged in as bytes.
    parts = [_owner(stored) for stored in sorted(row.owners, key=_role)]
    parts += map(_tag, row.tags)
    if row.first_sign_date:
        parts.append(_first_sign_date(row.first_sign_date))
    if row.last_contract_end:
        parts.append(_last_contract_end(row.last_contract_end))
    customer.MergeFromString(b"".join(parts))
    if row.last_touch_at:
        put_timestamp(customer.last_touch_at, row.last_touch_at)
    put_timestamp(customer.created_at, row.created_at)
    put_timestamp(customer.updated_at, row.updated_at)
    return customer


@lru_cache(maxsize=10_000)
def _owner(stored: str) -> bytes:
    return customer_pb2.Customer(owners=[to_owner(stored)]).SerializeToString()


@lru_cache(maxsize=10_000)
def _role(stored: str) -> int:
    return to_owner(stored).role


@lru_cache(maxsize=10_000)
def _tag(tag: str) -> bytes:
    return customer_pb2.Customer(tags=[tag]).SerializeToString()


@lru_cache(maxsize=10_000)
def _first_sign_date(day: date) -> bytes:
    return customer_pb2.Customer(first_sign_date=to_date(day)).SerializeToString()


@lru_cache(maxsize=10_000)
def _last_contract_end(day: date) -> bytes:
    return customer_pb2.Customer(last_contract_end=to_date(day)).SerializeToString()


def add_facts(told: Any, row: Any, created_at: datetime, version: int, owners: Sequence[str] = ()) -> None:
    """Adds a customer's facts to a message's repeated field, where they cost less than by themselves.

    `row` has id, number, external_id, name, short_name, kind, seats and last_contract_end.
    """
    is_person = row.kind == "INDIVIDUAL"  # a person's name is personal data, which no event carries
    facts = told.add(
        id=str(row.id),
        number=row.number,
        external_id=row.external_id,
        name="" if is_person else row.name,
        short_name="" if is_person else row.short_name,
        kind=to_kind(row.kind),
        seats=row.seats,
        version=version,
    )
    if owners:
        facts.owners.extend(to_owners(owners))
    # Of a million that come in at once many are alike in these: they are merged in as bytes.
    facts.MergeFromString(_created_at(created_at) + _end_of_facts(row.last_contract_end))


def put_facts(told: Any, rows: Sequence[Any]) -> None:
    """Adds the facts of rows of customers.WHOLE to a message's repeated field."""
    for row in rows:
        add_facts(told, row, row.created_at, row.version, row.owners)


@lru_cache(maxsize=10_000)
def _created_at(instant: datetime) -> bytes:
    facts = events_pb2.CustomerFacts()
    put_timestamp(facts.created_at, instant)
    return facts.SerializeToString()


@lru_cache(maxsize=10_000)
def _end_of_facts(day: date | None) -> bytes:
    return events_pb2.CustomerFacts(last_contract_end=to_date(day)).SerializeToString()


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
        version=row.version,
    )


def to_owners(stored: Sequence[str]) -> list[customer_pb2.Owner]:
    """In the order of their roles."""
    return sorted(map(to_owner, stored), key=attrgetter("role"))


@lru_cache(maxsize=10_000)
def to_owner(stored: str) -> customer_pb2.Owner:
    """`stored`: "<role> <employee id> <valid from> <valid to>". What is answered must not be changed."""
    role, employee_id, valid_from, valid_to = stored.split(" ")
    return customer_pb2.Owner(
        role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{role}"),
        employee_id=employee_id,
        valid_from=None if valid_from == EVER else to_date(date.fromisoformat(valid_from)),
        valid_to=None if valid_to == OPEN else to_date(date.fromisoformat(valid_to)),
    )


@lru_cache
def to_kind(kind: str) -> customer_pb2.CustomerKind.ValueType:
    return customer_pb2.CustomerKind.Value(f"CUSTOMER_KIND_{kind}")


@lru_cache
def to_health(status: str) -> health_pb2.HealthStatus.ValueType:
    return health_pb2.HealthStatus.Value(f"HEALTH_STATUS_{status}")


async def emit_changed(write: Write, ids: Sequence[UUID]) -> None:
    """Tells the present facts of the customers `ids`, 500 an event."""
    for start in range(0, len(ids), EVENT_ITEMS):
        event = events_pb2.CustomersChanged()
        put_facts(
            event.customers, await customers.get_many(write.connection, EVERYTHING, ids[start : start + EVENT_ITEMS])
        )
        write.emit(event)


async def emit_created(write: Write, rows: Sequence[Any]) -> None:
    """Tells the facts of customers that this transaction created: rows as add_facts takes them.

    They are many: so that the database goes on being asked meanwhile, a pause is made every AT_ONCE rows.
    """
    for start in range(0, len(rows), EVENT_ITEMS):
        event = events_pb2.CustomersChanged()
        for number, row in enumerate(rows[start : start + EVENT_ITEMS]):
            add_facts(event.customers, row, write.now, 1)
            if not number % AT_ONCE:
                await asyncio.sleep(0)
        write.emit(event)
