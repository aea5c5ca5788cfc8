"""What people wrote about a customer in follow-ups, tasks and reasons: gathered as a whole, and erased as a whole."""

from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access import unscoped
from services.shared.db import Write
from services.shared.privacy import ERASED, WHY, PersonalData, Record
from services.tasks.storage.tables import follow_ups, postponements, process_transitions, processes, tasks

BY_DEFINITION = "PROCESS"
"""Origin of tasks whose title stands in a process definition, which is about no customer."""


async def collect(connection: AsyncConnection, customer_id: UUID) -> AsyncIterator[Record]:
    mine = select(tasks.c.id).where(tasks.c.customer_id == customer_id).scalar_subquery()
    its = select(processes.c.id).where(processes.c.customer_id == customer_id).scalar_subquery()
    columns: dict[str, Any] = {
        "follow_up": select(
            follow_ups.c.occurred_at,
            follow_ups.c.recorded_at,
            follow_ups.c.channel,
            follow_ups.c.content,
            follow_ups.c.customer_feedback,
            follow_ups.c.next_step,
        )
        .where(follow_ups.c.customer_id == customer_id)
        .order_by(follow_ups.c.occurred_at, follow_ups.c.id),
        "task": select(tasks.c.created_at, tasks.c.title, tasks.c.description, tasks.c.cancel_reason)
        .where(tasks.c.customer_id == customer_id)
        .order_by(tasks.c.created_at, tasks.c.id),
        "postponement": select(postponements.c.postponed_at, postponements.c.reason)
        .where(postponements.c.task_id.in_(mine))
        .order_by(postponements.c.postponed_at),
        "process_reason": select(process_transitions.c.occurred_at, process_transitions.c.reason)
        .where(process_transitions.c.process_id.in_(its), process_transitions.c.reason != "")
        .order_by(process_transitions.c.occurred_at),
    }
    for kind, query in columns.items():
        async for row in await connection.stream(unscoped(query, WHY)):
            yield kind, row._asdict()


async def erase(write: Write, customer_id: UUID) -> Iterable[UUID]:
    texts = {"content": ERASED, "customer_feedback": "", "next_step": ""}
    written = update(follow_ups).where(follow_ups.c.customer_id == customer_id).values(texts)
    title = case((tasks.c.origin == BY_DEFINITION, tasks.c.title), else_=ERASED)
    reason = case((tasks.c.cancel_reason != "", ERASED), else_=tasks.c.cancel_reason)
    planned = update(tasks).where(tasks.c.customer_id == customer_id)
    planned = planned.values(title=title, description="", cancel_reason=reason)
    found = [
        (await write.execute(unscoped(change, WHY))).scalars().all()
        for change in (
            written.returning(follow_ups.c.id),
            planned.returning(tasks.c.id),
            select(processes.c.id).where(processes.c.customer_id == customer_id),
        )
    ]
    _, of_tasks, of_processes = found
    postponed = update(postponements).where(postponements.c.task_id.in_(of_tasks)).values(reason=ERASED)
    moved = update(process_transitions).where(process_transitions.c.process_id.in_(of_processes))
    moved = moved.where(process_transitions.c.reason != "").values(reason=ERASED)
    for change in (postponed, moved):
        await write.execute(unscoped(change, WHY))
    return [id_ for ids in found for id_ in ids]


HELD = PersonalData(collect, erase)
