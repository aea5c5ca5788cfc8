"""When a task's clock rings next. Pure."""

from collections.abc import Collection
from datetime import datetime

from workflows.task_lifecycle.types import Notice, NoticeKind, TaskClock


def next_notice(clock: TaskClock, rung: Collection[Notice], now: datetime) -> Notice | None:
    """The earliest notice that was not rung yet; it may lie in the past, then it is late. None when all are.

    Once the deadline has passed only OVERDUE counts: after an outage people are told what is true now, and not first
    reminded of what they have missed.
    """
    overdue = Notice(NoticeKind.OVERDUE, clock.deadline_at, clock.deadline_at)
    if now < clock.deadline_at:
        for due_at in clock.reminders_at:
            reminder = Notice(NoticeKind.REMINDER, due_at, clock.deadline_at)
            if due_at < clock.deadline_at and reminder not in rung:
                return reminder
    return None if overdue in rung else overdue


def still_rung(rung: Collection[Notice], clock: TaskClock) -> list[Notice]:
    """The rings that count for the clock's present deadline."""
    return [notice for notice in rung if notice.deadline_at == clock.deadline_at]
