"""What TaskLifecycle and its activities hand each other. No text that a person wrote, nothing personal."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class NoticeKind(StrEnum):
    """What a clock says to people."""

    REMINDER = "REMINDER"
    OVERDUE = "OVERDUE"


class RingOutcome(StrEnum):
    """What the service made of a ring."""

    NOTICED = "NOTICED"
    MOVED = "MOVED"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class TaskClock:
    """What is known of a task: by when it is to be done, and what operators read.

    `reminders_at` earliest first; `version` counts the task's changes, only a newer one counts.
    """

    task_id: str
    customer_id: str
    customer_label: str
    theme_key: str
    assignee_id: str
    deadline_at: datetime
    reminders_at: list[datetime]
    version: int
    open: bool


@dataclass(frozen=True)
class Notice:
    """One ring of the clock: due at `due_at`, as long as the deadline is `deadline_at`."""

    kind: NoticeKind
    due_at: datetime
    deadline_at: datetime


@dataclass(frozen=True)
class ClockState:
    """The workflow's input: the task, the rings that are done with, and the business time zone's name."""

    clock: TaskClock
    zone: str
    rung: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class RingAnswer:
    """The service's answer to a ring: what came of it, and the task as it is now."""

    outcome: RingOutcome
    clock: TaskClock
