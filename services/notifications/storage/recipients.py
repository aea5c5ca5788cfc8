"""Who is told: active owners of customers, whoever a task names, and who stands in for one of them."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Subquery,
    Uuid,
    any_,
    bindparam,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access.tables import customer_access, customers, deputies, employees


def owners(sent: Any, today: date) -> Select[Any]:
    """(cause, employee_id) of the active employees who own a customer of `sent` (cause, customer_id) today."""
    return (
        select(sent.c.cause, customer_access.c.employee_id)
        .distinct()  # who owns one in two roles
        .join(customer_access, customer_access.c.customer_id == sent.c.customer_id)
        .outerjoin(employees, employees.c.id == customer_access.c.employee_id)
        .where(customer_access.c.valid_from <= today, customer_access.c.valid_to >= today, _active())
    )


def with_deputies(own: CTE, today: date) -> Subquery:
    """`own` (cause, employee_id), and today's deputies of these employees: (cause, employee_id, on_behalf_of_id).

    Each employee once for a cause: his own notice before a colleague's, and of these the one he stands in for longest.
    """
    nobody, always = null().cast(Uuid).label("on_behalf_of_id"), literal(date.max).label("until")
    told = union_all(
        select(own.c.cause, own.c.employee_id, nobody, always),
        select(own.c.cause, deputies.c.deputy_id, deputies.c.absent_id, deputies.c.valid_to)
        .join(deputies, deputies.c.absent_id == own.c.employee_id)
        .outerjoin(employees, employees.c.id == deputies.c.deputy_id)
        .where(stands_in(today), _active()),
    ).subquery("told")
    keys = (told.c.employee_id, told.c.cause)
    return (
        select(told.c.cause, told.c.employee_id, told.c.on_behalf_of_id)
        .ext(distinct_on(*keys))
        .order_by(*keys, told.c.on_behalf_of_id.is_not(None), told.c.until.desc(), told.c.on_behalf_of_id)
        .subquery("recipients")
    )


def stands_in(today: date) -> ColumnElement[bool]:
    """Whether a deputyship is in force."""
    return ~deputies.c.deleted & (deputies.c.valid_from <= today) & (deputies.c.valid_to >= today)


async def absent_colleagues(read: AsyncConnection, employee_id: UUID, today: date) -> list[UUID]:
    """For whom the employee stands in today."""
    mine = select(deputies.c.absent_id).distinct().where(deputies.c.deputy_id == employee_id, stands_in(today))
    return list((await read.execute(mine)).scalars())


async def unknown_customers(connection: AsyncConnection, versions: Mapping[UUID, int]) -> set[UUID]:
    """Those of the customers whose owners in this version, or a later one, no event has told of yet."""
    wanted = customers.c.id == any_(bindparam(None, list(versions), ARRAY(Uuid)))
    known = {row.id: row.version for row in await connection.execute(select(customers).where(wanted))}
    return {customer for customer, version in versions.items() if known.get(customer, -1) < version}


def _active() -> ColumnElement[bool]:
    """An employee that no event told of yet is taken for active."""
    return func.coalesce(employees.c.active, True)
