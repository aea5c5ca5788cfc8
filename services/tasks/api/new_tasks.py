"""The row of a new task, whatever it comes from, and of a task whose deadline is set anew."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.shared.db import Write
from services.tasks.domain.deadline import Deadline
from services.tasks.domain.notices import Reminders


def deadline_columns(deadline: Deadline, deadline_at: datetime, now: datetime, reminders: Reminders) -> dict[str, Any]:
    """The columns of a deadline that is set now."""
    return {
        "deadline_date": deadline.day,
        "deadline_time": deadline.at,
        "deadline_at": deadline_at,
        "armed_at": now,
        "next_notice_at": reminders.next_notice(deadline_at, now),
    }


def new_task(
    write: Write,
    *,
    task_id: UUID,
    customer_id: UUID,
    title: str,
    theme_key: str,
    assignee_id: UUID,
    deadline: Deadline,
    deadline_at: datetime,
    origin: str,
    reminders: Reminders,
    priority: str = "NORMAL",
    description: str = "",
    process_id: UUID | None = None,
    stage_key: str = "",
    required: bool = False,
) -> dict[str, Any]:
    """A row for storage.tasks.add. `deadline_at` is the deadline's instant, in UTC."""
    return {
        "id": task_id,
        "customer_id": customer_id,
        "title": title,
        "theme_key": theme_key,
        "assignee_id": assignee_id,
        "priority": priority,
        "description": description,
        "origin": origin,
        "process_id": process_id,
        "stage_key": stage_key,
        "required": required,
        "state": "TODO",
        "version": 1,
        "created_by": write.actor,
        "created_at": write.now,
        "closed_by": "",
        "cancel_reason": "",
        "original_deadline_at": deadline_at,
        "postponement_count": 0,
        **deadline_columns(deadline, deadline_at, write.now, reminders),
    }
