"""Tasks: rows with the customer's label beside them, as the task's facts need it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, bindparam, insert, literal_column, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.db import HotQuery, Write
from services.tasks.storage.tables import tasks

# As text, because an insert's RETURNING correlates nothing by itself.
_LABEL = literal_column("(select c.label from customers c where c.id = tasks.customer_id)", Text)
_FACTS = (*tasks.c, _LABEL.label("customer_label"))
_OPEN = tasks.c.closed_at.is_(None)
OPEN_STATES = {"TODO", "IN_PROGRESS"}


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


BY_ID = HotQuery(select(tasks).where(tasks.c.id == bindparam("id")))


async def get(connection: AsyncConnection, task_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(tasks).where(tasks.c.id == task_id))).one_or_none()


async def lock(write: Write, task_id: UUID) -> Row[Any] | None:
    """The task, which nobody else changes until this transaction ends."""
    query = select(*_FACTS).where(tasks.c.id == task_id).with_for_update(of=tasks)
    return (await write.execute(query)).one_or_none()


async def page(
    connection: AsyncConnection, wanted: TaskFilter, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` tasks in the order of (deadline_at, id), after `after`."""
    query = select(tasks).where(*wanted.conditions()).order_by(tasks.c.deadline_at, tasks.c.id).limit(size)
    if after:
        query = query.where(tuple_(tasks.c.deadline_at, tasks.c.id) > tuple_(*after))
    return (await connection.execute(query)).all()


async def open_page(
    connection: AsyncConnection, unnoticed_before: datetime | None, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` open tasks by id, after `after[0]`; only those with a notice not given before `unnoticed_before`."""
    query = select(*_FACTS).where(_OPEN).order_by(tasks.c.id).limit(size)
    if unnoticed_before:
        query = query.where(tasks.c.next_notice_at < unnoticed_before)
    if after:
        query = query.where(tasks.c.id > after[0])
    return (await connection.execute(query)).all()


async def add(write: Write, rows: Sequence[dict[str, Any]]) -> Sequence[Row[Any]]:
    """Stores new tasks; answers them as stored, in one statement."""
    return (await write.execute(insert(tasks).returning(*_FACTS), list(rows))).all()


async def change(write: Write, task_id: UUID, values: dict[str, Any]) -> Row[Any]:
    """Stores new values of a locked task, whose version counts on."""
    changed = update(tasks).where(tasks.c.id == task_id).values({"version": tasks.c.version + 1, **values})
    return (await write.execute(changed.returning(*_FACTS))).one()


async def set_noticed(
    write: Write, task_id: UUID, next_notice_at: datetime | None, overdue_for: datetime | None
) -> None:
    """Stores when the next notice is due. The task's facts stay as they are, and so does its version."""
    values: dict[str, Any] = {"next_notice_at": next_notice_at}
    if overdue_for:
        values["overdue_noticed_for"] = overdue_for
    await write.execute(update(tasks).where(tasks.c.id == task_id).values(values))


async def open_required(connection: AsyncConnection, process_id: UUID, stage_key: str) -> Sequence[Row[UUID, str]]:
    """(id, title) of the stage's required tasks that are open."""
    of_stage = (tasks.c.process_id == process_id) & (tasks.c.stage_key == stage_key)
    query = select(tasks.c.id, tasks.c.title).where(of_stage, tasks.c.required, _OPEN).order_by(tasks.c.id)
    return (await connection.execute(query)).all()


async def cancel_of_process(
    write: Write, process_id: UUID, stage_keys: Sequence[str] | None, reason: str
) -> Sequence[Row[Any]]:
    """Cancels the process's open tasks, of these stages or of all; answers them."""
    query = update(tasks).where(tasks.c.process_id == process_id, _OPEN)
    if stage_keys is not None:
        query = query.where(tasks.c.stage_key.in_(stage_keys))
    closed = {
        "state": "CANCELLED",
        "closed_at": write.now,
        "closed_by": write.actor,
        "cancel_reason": reason,
        "next_notice_at": None,
        "version": tasks.c.version + 1,
    }
    return (await write.execute(query.values(closed).returning(*_FACTS))).all()
