"""Tasks on the wire: answers and facts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from kejing.tasks.v1 import task_pb2
from services.tasks.api.wire_time import set_deadline, set_instant
from services.tasks.domain.notices import Reminders


def to_task(row: Row[Any], now: datetime) -> task_pb2.Task:
    task = task_pb2.Task(
        id=str(row.id),
        customer_id=str(row.customer_id),
        title=row.title,
        theme_key=row.theme_key,
        assignee_id=str(row.assignee_id),
        priority=task_pb2.TaskPriority.Value(f"TASK_PRIORITY_{row.priority}"),
        overdue=row.closed_at is None and row.deadline_at <= now,
        description=row.description,
        origin=task_pb2.TaskOrigin.Value(f"TASK_ORIGIN_{row.origin}"),
        process_id=str(row.process_id or ""),
        stage_key=row.stage_key,
        required=row.required,
        state=task_pb2.TaskState.Value(f"TASK_STATE_{row.state}"),
        version=row.version,
        created_by=row.created_by,
        closed_by=row.closed_by,
        cancel_reason=row.cancel_reason,
        postponement_count=row.postponement_count,
    )
    set_deadline(task.deadline, row.deadline_date, row.deadline_time)
    set_instant(task.deadline_at, row.deadline_at)
    set_instant(task.created_at, row.created_at)
    set_instant(task.closed_at, row.closed_at)
    set_instant(task.original_deadline_at, row.original_deadline_at)
    return task


def to_facts(row: Row[Any], reminders: Reminders) -> task_pb2.TaskFacts:
    """`row` with the customer's label beside it."""
    facts = task_pb2.TaskFacts(
        task_id=str(row.id),
        customer_id=str(row.customer_id),
        customer_label=row.customer_label or "",
        theme_key=row.theme_key,
        assignee_id=str(row.assignee_id),
        state=task_pb2.TaskState.Value(f"TASK_STATE_{row.state}"),
        origin=task_pb2.TaskOrigin.Value(f"TASK_ORIGIN_{row.origin}"),
        process_id=str(row.process_id or ""),
        stage_key=row.stage_key,
        required=row.required,
        version=row.version,
    )
    set_instant(facts.deadline_at, row.deadline_at)
    for reminder in reminders.before(row.deadline_at, row.armed_at):
        set_instant(facts.reminders_at.add(), reminder)
    return facts


def to_postponement(row: Row[Any]) -> task_pb2.Postponement:
    postponement = task_pb2.Postponement(number=row.number, reason=row.reason, postponed_by=row.postponed_by)
    set_instant(postponement.from_deadline_at, row.from_deadline_at)
    set_instant(postponement.to_deadline_at, row.to_deadline_at)
    set_instant(postponement.postponed_at, row.postponed_at)
    return postponement
