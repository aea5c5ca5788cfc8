"""Follow-ups."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.db import Write
from services.tasks.storage.tables import employees, follow_ups

MANAGING_ROLES = ("MANAGER", "ADMINISTRATOR")


async def get(connection: AsyncConnection, follow_up_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(follow_ups).where(follow_ups.c.id == follow_up_id))).one_or_none()


async def add(write: Write, row: dict[str, Any]) -> Row[Any]:
    return (await write.execute(insert(follow_ups).values(row).returning(*follow_ups.c))).one()


async def page(
    connection: AsyncConnection, only: Mapping[str, object], after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` follow-ups, latest occurrence first, after `after`; `only`: column → value that it must have."""
    latest_first = (follow_ups.c.occurred_at.desc(), follow_ups.c.id.desc())
    query = select(follow_ups).order_by(*latest_first).limit(size)
    query = query.where(*(follow_ups.c[column] == value for column, value in only.items()))
    if after:
        query = query.where(tuple_(follow_ups.c.occurred_at, follow_ups.c.id) < tuple_(*after))
    return (await connection.execute(query)).all()


async def holds_for_completion(connection: AsyncConnection, task_id: UUID, assignee_id: UUID) -> bool:
    """Whether the task has a follow-up by its assignee, by somebody above the assignee, or by a manager by role."""
    above = select(employees.c.manager_id).where(employees.c.id == assignee_id).cte("above", recursive=True)
    next_above = select(employees.c.manager_id).join(above, employees.c.id == above.c.manager_id)
    above = above.union(next_above)  # not "union all": a ring of managers must end too
    managing = select(employees.c.id).where(employees.c.role.in_(MANAGING_ROLES))
    author = follow_ups.c.author_id
    by_whom = or_(author == assignee_id, author.in_(select(above.c.manager_id)), author.in_(managing))
    query = select(exists().where(follow_ups.c.task_id == task_id, by_whom))
    return bool((await connection.execute(query)).scalar_one())
