"""What can be done to a task, and when."""

from datetime import datetime, timedelta
from enum import StrEnum

from services.shared.errors import FailedPrecondition

REOPENABLE_FOR = timedelta(hours=24)


class TaskState(StrEnum):
    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class TaskAction(StrEnum):
    """The value reads in a sentence: "a task that is DONE can't be <value>"."""

    START = "started"
    FOLLOW_UP = "followed up"
    POSTPONE = "postponed"
    REASSIGN = "reassigned"
    COMPLETE = "completed"
    CANCEL = "cancelled"
    REOPEN = "reopened"


_TODO, _IN_PROGRESS, _DONE, _CANCELLED = TaskState

TRANSITIONS: dict[TaskAction, dict[TaskState, TaskState]] = {
    TaskAction.START: {_TODO: _IN_PROGRESS},
    TaskAction.FOLLOW_UP: {_TODO: _IN_PROGRESS, _IN_PROGRESS: _IN_PROGRESS},
    TaskAction.POSTPONE: {_TODO: _TODO, _IN_PROGRESS: _IN_PROGRESS},
    TaskAction.REASSIGN: {_TODO: _TODO, _IN_PROGRESS: _IN_PROGRESS},
    TaskAction.COMPLETE: {_TODO: _DONE, _IN_PROGRESS: _DONE},
    TaskAction.CANCEL: {_TODO: _CANCELLED, _IN_PROGRESS: _CANCELLED},
    TaskAction.REOPEN: {_DONE: _IN_PROGRESS},
}
"""Action → state before → state after; what is not here is refused."""


def state_after(state: str, action: TaskAction) -> TaskState:
    """The state to which `action` leads from `state`. Raises FailedPrecondition (TASK_STATE)."""
    allowed = TRANSITIONS[action]
    if state not in allowed:
        raise FailedPrecondition(
            "TASK_STATE",
            f"a task that is {state} can't be {action.value}; it must be {' or '.join(allowed)}",
            state=state,
        )
    return allowed[TaskState(state)]


def check_reopening(closed_at: datetime, deadline_at: datetime, *, new_deadline: bool, now: datetime) -> None:
    """Raises FailedPrecondition: REOPEN_TOO_LATE, or DEADLINE_PASSED where a new deadline is needed and not given."""
    if now - closed_at > REOPENABLE_FOR:
        raise FailedPrecondition("REOPEN_TOO_LATE", "a task can be reopened within 24 hours of its completion")
    if deadline_at <= now and not new_deadline:
        raise FailedPrecondition("DEADLINE_PASSED", "its deadline has passed; reopening it needs a new one")


def check_cancelling(*, required: bool) -> None:
    """Raises FailedPrecondition (TASK_REQUIRED) for a task that the stage of a process can't be left without.

    So a required task is open or done, unless its process took it back itself.
    """
    if required:
        raise FailedPrecondition(
            "TASK_REQUIRED", "its process needs this task; complete it, or return or terminate the process"
        )
