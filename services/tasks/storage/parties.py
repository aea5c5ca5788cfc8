"""Customers, employees and owners, as those need to know them who give them work."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts
from services.shared.access import Scope, unscoped
from services.shared.access.tables import customer_access, employees
from services.shared.db import Write
from services.shared.db.rows import brought
from services.tasks.storage.tables import customers, themes


async def keep_customers(write: Write, told: Iterable[CustomerFacts]) -> None:
    """Stores what was told of customers, except where something newer is known.

    One statement, rows in the order of their ids, so that two writers never wait for each other in a ring.
    """
    newest = {UUID(customer.id): customer for customer in sorted(told, key=lambda customer: customer.version)}
    if not newest:
        return
    rows = [{"id": id_, "label": _label(newest[id_]), "version": newest[id_].version} for id_ in sorted(newest)]
    kinds = {name: customers.c[name].type for name in ("id", "label", "version")}
    statement: Any = upsert(customers).from_select(list(kinds), select(brought(rows, kinds)))
    fresh = {"label": statement.excluded.label, "version": statement.excluded.version}
    newer = statement.on_conflict_do_update(
        index_elements=["id"], set_=fresh, where=customers.c.version < statement.excluded.version
    )
    await write.execute(unscoped(newer, "what customers tells"))


async def look_up(
    connection: AsyncConnection, scope: Scope, customer_id: UUID | None, employee_id: UUID | None, theme_key: str
) -> Row[Any, Any, Any]:
    """In one statement: customer_version, employee_active, theme_active; None each for what is not known, and for a
    customer that is not in scope."""
    customer = scope.limit(select(customers.c.version).where(customers.c.id == customer_id), customers.c.id)
    query = select(
        customer.scalar_subquery().label("customer_version"),
        select(employees.c.active).where(employees.c.id == employee_id).scalar_subquery().label("employee_active"),
        select(themes.c.active).where(themes.c.key == theme_key).scalar_subquery().label("theme_active"),
    )
    return (await connection.execute(unscoped(query, "its customer is limited by the scope"))).one()


async def lock_active(write: Write, employee_id: UUID) -> bool:
    """Whether the employee is there to be given work; if so he stays until this transaction ends.

    Who leaves waits for it: what was given to him until then is among what his successor gets.
    """
    query = select(employees.c.active).where(employees.c.id == employee_id).with_for_update(read=True)
    return bool((await write.execute(query)).scalar())


async def hold_people(write: Write, owner_id: UUID, customer_id: UUID) -> None:
    """Keeps a process's owner and its customer's owners until this transaction ends.

    Called before the process is locked: who hands over holds the employee first, then tasks and processes.
    """
    of_customer = select(customer_access.c.employee_id).where(customer_access.c.customer_id == customer_id)
    theirs = (employees.c.id == owner_id) | employees.c.id.in_(of_customer)
    query = select(employees.c.id).where(theirs).order_by(employees.c.id).with_for_update(read=True, of=employees)
    await write.execute(unscoped(query, "the owners of a customer whose process was found in scope"))


async def is_in(connection: AsyncConnection, scope: Scope, customer_id: UUID) -> bool:
    """Whether a scope, which need not be the caller's, holds the customer."""
    query = select(scope.holds(literal(customer_id, Uuid)))
    return bool((await connection.execute(unscoped(query, "it asks for one customer that the caller sees"))).scalar())


async def owners_of(write: Write, customer_id: UUID, today: date) -> dict[str, UUID]:
    """Who holds each owner role of the customer, without those who have left; the others stay, as in lock_active."""
    query = (
        select(customer_access.c.role, customer_access.c.employee_id)
        .join(employees, employees.c.id == customer_access.c.employee_id)
        .where(
            customer_access.c.customer_id == customer_id,
            customer_access.c.valid_from <= today,
            customer_access.c.valid_to >= today,
            employees.c.active,
        )
        .order_by(customer_access.c.role)
        .with_for_update(read=True, of=employees)
    )
    rows = await write.execute(unscoped(query, "the owners of a customer whose process was found in scope"))
    return {row.role: row.employee_id for row in rows}


async def manager_of(connection: AsyncConnection, employee_id: UUID) -> UUID | None:
    """The employee to whom this one reports, where known."""
    query = select(employees.c.manager_id).where(employees.c.id == employee_id)
    manager_id: UUID | None = (await connection.execute(query)).scalar()
    return manager_id


def _label(customer: CustomerFacts) -> str:
    """What operators read. An individual's name is personal, so it is the customer number there."""
    if customer.kind == customer_pb2.CUSTOMER_KIND_INDIVIDUAL:
        return customer.number
    return customer.short_name or customer.name or customer.number
