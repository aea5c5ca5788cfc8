"""Notices that were given, each once, and the ledger of the deadlines that they were about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access import unscoped
from services.shared.db import Write
from services.tasks.storage.tables import postponements, task_notices

FOUND = "its task was found in scope"


async def give(write: Write, task_id: UUID, kind: str, due_at: datetime, deadline_at: datetime) -> bool:
    """Remembers a notice; False where it was given before."""
    row = {"task_id": task_id, "kind": kind, "due_at": due_at, "deadline_at": deadline_at, "noticed_at": write.now}
    new = upsert(task_notices).values(row).on_conflict_do_nothing()
    return bool((await write.execute(unscoped(new, FOUND))).rowcount)


async def given(connection: AsyncConnection, task_id: UUID, deadline_at: datetime) -> set[datetime]:
    """When the notices of this deadline that were given had been due."""
    of_deadline = (task_notices.c.task_id == task_id) & (task_notices.c.deadline_at == deadline_at)
    query = select(task_notices.c.due_at).where(of_deadline)
    return set((await connection.execute(unscoped(query, FOUND))).scalars())


async def add_postponement(write: Write, task: Row[Any], to_deadline_at: datetime, reason: str) -> None:
    """Writes the next line into a locked task's ledger."""
    row = {
        "task_id": task.id,
        "number": task.postponement_count + 1,
        "from_deadline_at": task.deadline_at,
        "to_deadline_at": to_deadline_at,
        "reason": reason,
        "postponed_by": write.actor,
        "postponed_at": write.now,
    }
    await write.execute(unscoped(insert(postponements).values(row), FOUND))


async def ledger(connection: AsyncConnection, task_id: UUID) -> Sequence[Row[Any]]:
    """The postponements of a task that was found in scope, first to last."""
    query = select(postponements).where(postponements.c.task_id == task_id).order_by(postponements.c.number)
    return (await connection.execute(unscoped(query, FOUND))).all()
