"""What operators read of a task's clock in Temporal's pages. Pure."""

from workflows.attributes import Wanted
from workflows.names import CUSTOMER_ID, DUE_AT, OVERDUE, OWNER_ID, THEME_KEY
from workflows.task_lifecycle.types import TaskClock
from workflows.times import in_zone


def summary(clock: TaskClock) -> str:
    """The one line by which the task is known, e.g. "Task · renewal · ACME"."""
    return f"Task · {clock.theme_key} · {clock.customer_label}"


def details(clock: TaskClock, overdue: bool, zone: str) -> str:
    """Until when, and what the clock waits for, as Markdown."""
    lines = [
        f"**{'Overdue since' if overdue else 'Due'}** {in_zone(clock.deadline_at, zone)}",
        "waits for the task to be completed, postponed or cancelled",
        f"task version {clock.version}",
    ]
    return "  \n".join(lines)


def search_attributes(clock: TaskClock, overdue: bool) -> Wanted:
    return {
        CUSTOMER_ID: clock.customer_id,
        THEME_KEY: clock.theme_key,
        OWNER_ID: clock.assignee_id,
        DUE_AT: clock.deadline_at,
        OVERDUE: overdue,
    }
