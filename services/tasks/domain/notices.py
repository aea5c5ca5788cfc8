"""When people are told of a deadline: reminders before it, overdue at it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.shared.errors import FailedPrecondition, InvalidArgument

CLOCKS_DIFFER_BY = timedelta(seconds=2)
"""How far ahead of ours the clock of the machine that rings may be."""


@dataclass(frozen=True)
class Reminders:
    """When to remind. `leads`: how long before each deadline."""

    leads: Sequence[timedelta]

    def before(self, deadline_at: datetime, armed_at: datetime) -> list[datetime]:
        """When to remind of a deadline, earliest first: all before it, and after it was set (`armed_at`)."""
        return sorted({deadline_at - lead for lead in self.leads if armed_at < deadline_at - lead < deadline_at})

    def next_notice(
        self, deadline_at: datetime, armed_at: datetime, given: Collection[datetime] = ()
    ) -> datetime | None:
        """When the first reminder is due that was not `given` yet, or the deadline itself; None when all were.

        Who was told that the deadline has passed is not reminded of it any more.
        """
        if deadline_at in given:
            return None
        return min((at for at in self.before(deadline_at, armed_at) if at not in given), default=deadline_at)


def check_notice(*, overdue: bool, due_at: datetime, deadline_at: datetime, now: datetime) -> None:
    """Raises InvalidArgument for an instant that the kind can't have, FailedPrecondition (NOT_DUE) for a future one.

    `deadline_at` is the deadline that the clock was set to.
    """
    if overdue and due_at != deadline_at:
        raise InvalidArgument("due_at", due_at.isoformat(), "a task is overdue at its deadline")
    if not overdue and due_at >= deadline_at:
        raise InvalidArgument("due_at", due_at.isoformat(), "a reminder comes before the deadline")
    if due_at > now + CLOCKS_DIFFER_BY:
        raise FailedPrecondition("NOT_DUE", f"this notice is due at {due_at.isoformat()}", now=now.isoformat())
