"""Follow-ups."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, any_, exists, insert, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from kejing.common.v1 import permission_pb2
from services.shared.access import Scope, unscoped
from services.shared.access.pages import page_of
from services.shared.access.tables import employees, roles
from services.shared.db import Write
from services.tasks.storage.tables import follow_ups


async def get(connection: AsyncConnection, scope: Scope, follow_up_id: UUID) -> Row[Any] | None:
    query = scope.limit(select(follow_ups).where(follow_ups.c.id == follow_up_id), follow_ups.c.customer_id)
    return (await connection.execute(query)).one_or_none()


async def add(write: Write, row: dict[str, Any]) -> Row[Any]:
    new = insert(follow_ups).values(row).returning(*follow_ups.c)
    return (await write.execute(unscoped(new, "the customer was found in scope"))).one()


async def page(
    connection: AsyncConnection, scope: Scope, only: Mapping[str, object], after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` follow-ups, latest occurrence first, after `after`; `only`: column → value that it must have."""
    order = (follow_ups.c.occurred_at, follow_ups.c.id)
    query = select(follow_ups).where(*(follow_ups.c[column] == value for column, value in only.items()))
    if after:
        query = query.where(tuple_(*order) < tuple_(*after))
    if only.keys() & {"customer_id", "task_id", "author_id"}:
        query = query.order_by(*(column.desc() for column in order)).limit(size)
        return (await connection.execute(scope.limit(query, follow_ups.c.customer_id))).all()
    return await page_of(connection, scope, query, follow_ups.c.customer_id, order, size, descending=True)


async def holds_for_completion(connection: AsyncConnection, task_id: UUID, assignee_id: UUID) -> bool:
    """Whether the task, which was locked in scope, has a follow-up by its assignee, by somebody above the assignee, or
    by one who answers for others' tasks by his role. What a deputy wrote counts for himself and for the absent one.
    """
    above = select(employees.c.manager_id).where(employees.c.id == assignee_id).cte("above", recursive=True)
    next_above = select(employees.c.manager_id).join(above, employees.c.id == above.c.manager_id)
    above = above.union(next_above)  # not "union all": a ring of managers must end too
    manages = literal(permission_pb2.PERMISSION_TASKS_MANAGE) == any_(roles.c.permissions)
    managing = select(employees.c.id).join(roles, roles.c.key == employees.c.role_key).where(manages, ~roles.c.deleted)

    def counts(who: ColumnElement[Any]) -> ColumnElement[bool]:
        return or_(who == assignee_id, who.in_(select(above.c.manager_id)), who.in_(managing))

    by_whom = or_(counts(follow_ups.c.author_id), counts(follow_ups.c.on_behalf_of_id))
    query = select(exists().where(follow_ups.c.task_id == task_id, by_whom))
    return bool((await connection.execute(unscoped(query, "its task was locked in scope"))).scalar_one())
