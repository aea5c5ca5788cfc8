"""Tasks: rows with the customer's label beside them, as the task's facts need it.

Reads take the scope of who asks; writes that need none are of rows that were found in scope before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Text,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access import EVERYTHING, Scope, unscoped
from services.shared.access.pages import page_of
from services.shared.access.scope import LATER
from services.shared.db import HotQuery, Write
from services.tasks.storage.tables import processes, tasks

# As text, because an insert's RETURNING correlates nothing by itself.
_LABEL = literal_column("(select c.label from customers c where c.id = tasks.customer_id)", Text)
_FACTS = (*tasks.c, _LABEL.label("customer_label"))
_OPEN = tasks.c.closed_at.is_(None)
OPEN_STATES = {"TODO", "IN_PROGRESS"}
COUNTED = 1000
LOCKED = "its row was locked in scope"
OF_PROCESS = "its process was locked in scope"


@dataclass(frozen=True)
class TaskFilter:
    """Every one that is given must hold; `overdue_at`: open with a deadline at or before this instant."""

    customer_id: UUID | None = None
    assignee_id: UUID | None = None
    theme_key: str = ""
    process_id: UUID | None = None
    states: Sequence[str] = ()
    overdue_at: datetime | None = None
    due_before: datetime | None = None

    @property
    def narrow(self) -> bool:
        """Whether it picks what belongs to one customer, employee or process."""
        return bool(self.customer_id or self.assignee_id or self.process_id)

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.customer_id:
            found.append(tasks.c.customer_id == self.customer_id)
        if self.assignee_id:
            found.append(tasks.c.assignee_id == self.assignee_id)
        if self.theme_key:
            found.append(tasks.c.theme_key == self.theme_key)
        if self.process_id:
            found.append(tasks.c.process_id == self.process_id)
        if self.states and set(self.states) <= OPEN_STATES:
            found.append(_OPEN)  # in the words of the indexes of open tasks
        if self.states and set(self.states) != OPEN_STATES:
            found.append(tasks.c.state.in_(self.states))
        if self.overdue_at:
            found += [_OPEN, tasks.c.deadline_at <= self.overdue_at]
        if self.due_before:
            found.append(tasks.c.deadline_at < self.due_before)
        return found


_BY_ID = select(tasks).where(tasks.c.id == bindparam("id"))
BY_ID = HotQuery(EVERYTHING.limit(_BY_ID, tasks.c.customer_id))
BY_ID_IN_SCOPE = HotQuery(LATER.limit(_BY_ID, tasks.c.customer_id))


async def get(connection: AsyncConnection, scope: Scope, task_id: UUID) -> Row[Any] | None:
    query = scope.limit(select(tasks).where(tasks.c.id == task_id), tasks.c.customer_id)
    return (await connection.execute(query)).one_or_none()


async def lock(write: Write, scope: Scope, task_id: UUID) -> Row[Any] | None:
    """The task, which nobody else changes until this transaction ends."""
    query = select(*_FACTS).where(tasks.c.id == task_id).with_for_update(of=tasks)
    return (await write.execute(scope.limit(query, tasks.c.customer_id))).one_or_none()


async def page(
    connection: AsyncConnection, scope: Scope, wanted: TaskFilter, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` tasks in the order of (deadline_at, id), after `after`."""
    order = (tasks.c.deadline_at, tasks.c.id)
    query = select(tasks).where(*wanted.conditions())
    if after:
        query = query.where(tuple_(*order) > tuple_(*after))
    if wanted.narrow:
        query = scope.limit(query.order_by(*order).limit(size), tasks.c.customer_id)
        return (await connection.execute(query)).all()
    return await page_of(connection, scope, query, tasks.c.customer_id, order, size)


async def open_page(
    connection: AsyncConnection, scope: Scope, unnoticed_before: datetime | None, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` open tasks by id, after `after[0]`; only those with a notice not given before `unnoticed_before`."""
    query = select(*_FACTS).where(_OPEN).order_by(tasks.c.id).limit(size)
    if unnoticed_before:
        query = query.where(tasks.c.next_notice_at < unnoticed_before)
    if after:
        query = query.where(tasks.c.id > after[0])
    return (await connection.execute(scope.limit(query, tasks.c.customer_id))).all()


async def count_open_of(connection: AsyncConnection, scope: Scope, assignee_id: UUID) -> int:
    query = select(func.count()).select_from(tasks).where(tasks.c.assignee_id == assignee_id, _OPEN)
    return int((await connection.execute(scope.whole(query, tasks.c.customer_id))).scalar_one())


async def open_work(connection: AsyncConnection, scope: Scope, customer_id: UUID, now: datetime) -> Row[Any]:
    """(open_tasks, overdue_tasks, running_processes) of a customer, each counted up to COUNTED."""
    mine = _OPEN & (tasks.c.customer_id == customer_id)
    running = processes.c.ended_at.is_(None) & (processes.c.customer_id == customer_id)

    def counted(found: ColumnElement[bool], of: ColumnElement[Any]) -> Any:
        rows = scope.limit(select(of).where(found).limit(COUNTED), of).subquery()
        return select(func.count()).select_from(rows).scalar_subquery()

    query = select(
        counted(mine, tasks.c.customer_id).label("open_tasks"),
        counted(mine & (tasks.c.deadline_at <= now), tasks.c.customer_id).label("overdue_tasks"),
        counted(running, processes.c.customer_id).label("running_processes"),
    )
    return (await connection.execute(unscoped(query, "each of its parts is scoped"))).one()


async def add(write: Write, rows: Sequence[dict[str, Any]]) -> Sequence[Row[Any]]:
    """Stores new tasks; answers them as stored, in one statement."""
    new = unscoped(insert(tasks).returning(*_FACTS), "the customer was found in scope")
    return (await write.execute(new, list(rows))).all()


async def change(write: Write, task_id: UUID, values: dict[str, Any]) -> Row[Any]:
    """Stores new values of a locked task, whose version counts on."""
    changed = update(tasks).where(tasks.c.id == task_id).values({"version": tasks.c.version + 1, **values})
    return (await write.execute(unscoped(changed.returning(*_FACTS), LOCKED))).one()


async def set_noticed(
    write: Write, task_id: UUID, next_notice_at: datetime | None, overdue_for: datetime | None
) -> None:
    """Stores when the next notice is due. The task's facts stay as they are, and so does its version."""
    values: dict[str, Any] = {"next_notice_at": next_notice_at}
    if overdue_for:
        values["overdue_noticed_for"] = overdue_for
    await write.execute(unscoped(update(tasks).where(tasks.c.id == task_id).values(values), LOCKED))


async def hand_over(write: Write, from_id: UUID, to_id: UUID, most: int) -> Sequence[Row[Any]]:
    """Gives up to `most` open tasks of one employee to another; answers them."""
    theirs = select(tasks.c.id).where(tasks.c.assignee_id == from_id, _OPEN).order_by(tasks.c.id).limit(most)
    # As an array, which is read once: an IN may become a join that reads the sub-select again and finds others.
    ids = func.array(theirs.with_for_update().scalar_subquery(), type_=ARRAY(Uuid))
    moved = update(tasks).where(tasks.c.id == any_(ids))
    moved = moved.values(assignee_id=to_id, version=tasks.c.version + 1)
    return (await write.execute(unscoped(moved.returning(*_FACTS), "all that the employee leaves"))).all()


async def open_required(connection: AsyncConnection, process_id: UUID, stage_key: str) -> Sequence[Row[UUID, str]]:
    """(id, title) of the stage's required tasks that are open."""
    of_stage = (tasks.c.process_id == process_id) & (tasks.c.stage_key == stage_key)
    query = select(tasks.c.id, tasks.c.title).where(of_stage, tasks.c.required, _OPEN).order_by(tasks.c.id)
    return (await connection.execute(unscoped(query, OF_PROCESS))).all()


async def cancel_of_process(
    write: Write, process_id: UUID, stage_keys: Sequence[str] | None, reason: str
) -> Sequence[Row[Any]]:
    """Cancels the process's open tasks, of these stages or of all; answers them."""
    theirs = select(tasks.c.id).where(tasks.c.process_id == process_id, _OPEN)
    if stage_keys is not None:
        theirs = theirs.where(tasks.c.stage_key.in_(stage_keys))
    # In the order in which hand_over locks them.
    ids = func.array(theirs.order_by(tasks.c.id).with_for_update().scalar_subquery(), type_=ARRAY(Uuid))
    query = update(tasks).where(tasks.c.id == any_(ids))
    closed = {
        "state": "CANCELLED",
        "closed_at": write.now,
        "closed_by": write.actor,
        "cancel_reason": reason,
        "next_notice_at": None,
        "version": tasks.c.version + 1,
    }
    return (await write.execute(unscoped(query.values(closed).returning(*_FACTS), OF_PROCESS))).all()
