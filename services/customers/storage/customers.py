"""Reading customers, their owners and contacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import contacts, customers, owners

LAST_CHARACTER = "\U0010ffff"

SORTS: dict[str, Column[Any]] = {
    "NAME": customers.c.name,
    "NUMBER": customers.c.number_key,
    "LAST_CONTRACT_END": customers.c.contract_end_key,
    "CREATED_AT": customers.c.created_at,
}
"""Each has an index on (column, id) and is never null."""

_owners = (
    select(
        func.jsonb_agg(aggregate_order_by(func.jsonb_build_array(owners.c.role, owners.c.employee_id), owners.c.role))
    )
    .where(owners.c.customer_id == customers.c.id)
    .scalar_subquery()
)
WITH_OWNERS: Select[Any] = select(customers, _owners.label("owners"))
"""All columns of customers, and `owners`: None or a list of [role, employee id]."""


@dataclass(frozen=True)
class Wanted:
    """Which customers a list is about; None: no matter. `owned_by`: employees who all must own it."""

    churned: bool
    today: date
    owned_by: Sequence[UUID] = ()
    name_prefix: str = ""


async def get(connection: AsyncConnection, customer_id: UUID) -> Row[Any] | None:
    return (await connection.execute(WITH_OWNERS.where(customers.c.id == customer_id))).one_or_none()


async def get_many(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """The known ones of `ids`, in the order of their ids."""
    query = WITH_OWNERS.where(customers.c.id == func.any(list(ids))).order_by(customers.c.id)
    return (await connection.execute(query)).all()


async def exists(connection: AsyncConnection, customer_id: UUID) -> bool:
    return (await connection.execute(select(customers.c.id).where(customers.c.id == customer_id))).first() is not None


def page_query(wanted: Wanted, sort: str, descending: bool, after: Sequence[Any] | None, size: int) -> Select[Any]:
    """Up to `size` customers in the order of (sort column, id), after the values `after` of the last one before."""
    column = SORTS[sort]
    order = (column.desc(), customers.c.id.desc()) if descending else (column, customers.c.id)
    query = WITH_OWNERS.order_by(*order).limit(size)
    # A predicate on the date, never a stored flag: it is true from midnight on without anybody writing.
    end = customers.c.contract_end_key
    query = query.where(end < wanted.today if wanted.churned else end >= wanted.today)
    for employee_id in wanted.owned_by:
        query = query.where(customers.c.id.in_(select(owners.c.customer_id).where(owners.c.employee_id == employee_id)))
    if wanted.name_prefix:
        prefix = wanted.name_prefix
        query = query.where(customers.c.name >= prefix, customers.c.name < prefix + LAST_CHARACTER)
    if after:
        here, there = tuple_(column, customers.c.id), tuple_(*after)
        query = query.where(here < there if descending else here > there)
    return query


def position(row: Row[Any], sort: str) -> list[Any]:
    """The values of `row` after which its next page begins."""
    return [getattr(row, SORTS[sort].key), row.id]


async def facts_page(connection: AsyncConnection, after: Sequence[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` of all customers in the order of their ids."""
    query = WITH_OWNERS.order_by(customers.c.id).limit(size)
    if after:
        query = query.where(customers.c.id > after[0])
    return (await connection.execute(query)).all()


async def contacts_page(
    connection: AsyncConnection, customer_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` contacts of a customer in the order of (name, id)."""
    query = select(contacts).where(contacts.c.customer_id == customer_id)
    query = query.order_by(contacts.c.name, contacts.c.id).limit(size)
    if after:
        query = query.where(tuple_(contacts.c.name, contacts.c.id) > tuple_(*after))
    return (await connection.execute(query)).all()
