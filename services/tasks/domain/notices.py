"""When people are told of a deadline: reminders before it, overdue at it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from services.shared.errors import FailedPrecondition, InvalidArgument

CLOCKS_DIFFER_BY = timedelta(seconds=2)
"""How far ahead of ours the clock of the machine that rings may be."""


def reminders(deadline_at: datetime, armed_at: datetime, leads: Sequence[timedelta]) -> list[datetime]:
    """When to remind, earliest first: each lead before the deadline, but only after it was set (`armed_at`)."""
    return sorted({deadline_at - lead for lead in leads if armed_at < deadline_at - lead < deadline_at})


def next_notice(
    deadline_at: datetime, armed_at: datetime, leads: Sequence[timedelta], given: Collection[datetime]
) -> datetime | None:
    """When the first notice is due that was not `given` yet; None when all were."""
    return min((at for at in (*reminders(deadline_at, armed_at, leads), deadline_at) if at not in given), default=None)


def check_notice(*, overdue: bool, due_at: datetime, deadline_at: datetime, now: datetime) -> None:
    """Raises InvalidArgument for an instant that can't be one of the kind, FailedPrecondition (NOT_DUE) for a future one.

    `deadline_at` is the deadline that the clock was set to.
    """
    if overdue and due_at != deadline_at:
        raise InvalidArgument("due_at", due_at.isoformat(), "a task is overdue at its deadline")
    if not overdue and due_at >= deadline_at:
        raise InvalidArgument("due_at", due_at.isoformat(), "a reminder comes before the deadline")
    if due_at > now + CLOCKS_DIFFER_BY:
        raise FailedPrecondition("NOT_DUE", f"this notice is due at {due_at.isoformat()}", now=now.isoformat())
