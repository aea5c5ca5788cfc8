"""Who owns which customer, in which role and when, now and before."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    Row,
    Select,
    Uuid,
    any_,
    bindparam,
    case,
    distinct,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.customers.domain.owners import Ownership
from services.customers.storage.tables import customers, timeline
from services.customers.storage.timeline import Change, Entry
from services.shared.access import Scope, unscoped
from services.shared.access.tables import customer_access, employees
from services.shared.db import Write

GIVEN = "whoever gives owners has found their customers in scope, or gives those of everybody"
EVER, OPEN = literal(date.min, Date), literal(date.max, Date)

_PUT = unscoped(
    text("""
        insert into kit.customer_access (customer_id, role, employee_id, valid_from, valid_to)
        select * from unnest(:customers, :roles, :employees, :firsts, :lasts)
        on conflict (customer_id, role) do update
        set employee_id = excluded.employee_id, valid_from = excluded.valid_from, valid_to = excluded.valid_to
    """).bindparams(
        bindparam("customers", type_=ARRAY(Uuid)), bindparam("roles", type_=ARRAY(Text)),
        bindparam("employees", type_=ARRAY(Uuid)), bindparam("firsts", type_=ARRAY(Date)),
        bindparam("lasts", type_=ARRAY(Date)),
    ),
    GIVEN,
)  # fmt: skip
_TAKE = unscoped(
    text("""
        delete from kit.customer_access a using unnest(:customers, :roles) as gone (customer_id, role)
        where a.customer_id = gone.customer_id and a.role = gone.role
    """).bindparams(bindparam("customers", type_=ARRAY(Uuid)), bindparam("roles", type_=ARRAY(Text))),
    GIVEN,
)


async def give(write: Write, wanted: Select[Any], origin: str = "") -> list[Entry]:
    """Gives roles at customers to employees, and counts the versions of the customers that changed.

    `wanted` has the columns customer_id, role, employee_id (null: nobody), valid_from and valid_to, one row a customer
    and role. Where both ends are null, the period of an owner who stays is left alone, and another's is open.

    Answers what changed as entries of the timeline, for the caller to pass on to `happened`; he goes on with `follow`
    for their customers. He holds the lock of one_at_a_time. `origin`: that of the entries.
    """
    asked, known = wanted.subquery("asked"), customer_access.alias("known")
    stays = known.c.employee_id == asked.c.employee_id
    left_alone = stays & asked.c.valid_from.is_(None) & asked.c.valid_to.is_(None)
    first = case((left_alone, known.c.valid_from), else_=func.coalesce(asked.c.valid_from, EVER))
    last = case((left_alone, known.c.valid_to), else_=func.coalesce(asked.c.valid_to, OPEN))
    moved = or_(known.c.valid_from.is_distinct_from(first), known.c.valid_to.is_distinct_from(last))
    query = (
        select(
            asked.c.customer_id, asked.c.role, asked.c.employee_id, first.label("first"), last.label("last"),
            known.c.employee_id.label("old_employee_id"), known.c.valid_from.label("old_first"),
            known.c.valid_to.label("old_last"),
        )
        .outerjoin(known, (known.c.customer_id == asked.c.customer_id) & (known.c.role == asked.c.role))
        .where(
            known.c.employee_id.is_distinct_from(asked.c.employee_id) | (asked.c.employee_id.is_not(None) & moved)
        )
        .order_by(asked.c.customer_id, asked.c.role)
    )  # fmt: skip
    changes = (await write.execute(unscoped(query, GIVEN))).all()
    if given := [row for row in changes if row.employee_id]:
        columns = {
            "customers": [row.customer_id for row in given], "roles": [row.role for row in given],
            "employees": [row.employee_id for row in given], "firsts": [row.first for row in given],
            "lasts": [row.last for row in given],
        }  # fmt: skip
        await write.execute(_PUT, columns)
    if taken := [row for row in changes if not row.employee_id]:
        await write.execute(
            _TAKE, {"customers": [row.customer_id for row in taken], "roles": [row.role for row in taken]}
        )
    await _count(write, list({row.customer_id for row in changes}))
    return [_entry(row, origin) for row in changes]


def _entry(row: Row[Any], origin: str) -> Entry:
    before = Ownership(row.old_employee_id, row.old_first, row.old_last).text() if row.old_employee_id else ""
    after = Ownership(row.employee_id, row.first, row.last).text() if row.employee_id else ""
    changes = [Change(f"owner.{row.role}", before, after)]
    return Entry(row.customer_id, "OWNER", "changed", row.role, changes=changes, origin=origin)


async def _count(write: Write, customer_ids: Sequence[UUID]) -> None:
    theirs = customers.c.id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid)))
    counted = update(customers).where(theirs).values(version=customers.c.version + 1, updated_at=write.now)
    await write.execute(unscoped(counted, GIVEN))


async def hand_over(write: Write, from_id: UUID, to_id: UUID, today: date) -> list[Entry]:
    """Gives what an employee owns, today or later, to another one; as `give`."""
    his = select(
        customer_access.c.customer_id, customer_access.c.role, literal(to_id, Uuid).label("employee_id"),
        customer_access.c.valid_from, customer_access.c.valid_to,
    ).where(customer_access.c.employee_id == from_id, customer_access.c.valid_to >= today)  # fmt: skip
    return await give(write, his)


async def is_active(write: Write, employee_id: UUID) -> bool | None:
    """Whether an employee is active; None where he isn't known. He stays so until `write` ends."""
    query = select(employees.c.active).where(employees.c.id == employee_id).with_for_update(read=True)
    return (await write.execute(query)).scalar_one_or_none()


async def history(
    connection: AsyncConnection, scope: Scope, customer_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` entries of the timeline about a customer's owners, the newest first."""
    query = select(timeline).where(timeline.c.customer_id == customer_id, timeline.c.kind == "OWNER")
    query = query.order_by(timeline.c.occurred_at.desc(), timeline.c.id.desc()).limit(size)
    if after:
        query = query.where(tuple_(timeline.c.occurred_at, timeline.c.id) < tuple_(*after))
    return (await connection.execute(scope.limit(query, timeline.c.customer_id))).all()


async def count_owned(connection: AsyncConnection, scope: Scope, employee_id: UUID, today: date) -> int:
    """How many customers an employee owns, today or later."""
    query: Any = select(func.count(distinct(customer_access.c.customer_id))).where(
        customer_access.c.employee_id == employee_id, customer_access.c.valid_to >= today
    )
    return int((await connection.execute(scope.whole(query, customer_access.c.customer_id))).scalar_one())
