"""The states of a task."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import FailedPrecondition
from services.tasks.domain.task import TaskAction, TaskState, check_cancelling, check_reopening, state_after

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@given(st.lists(st.sampled_from(TaskAction)))
def test_no_sequence_of_actions_leaves_the_table(actions: list[TaskAction]) -> None:
    state, path = TaskState.TODO, [TaskState.TODO]
    for action in actions:
        with suppress(FailedPrecondition):
            state = state_after(state, action)
        path.append(state)
    for before, after in pairwise(path):
        assert (
            after
            in {
                TaskState.TODO: {TaskState.TODO, TaskState.IN_PROGRESS, TaskState.DONE, TaskState.CANCELLED},
                TaskState.IN_PROGRESS: {TaskState.IN_PROGRESS, TaskState.DONE, TaskState.CANCELLED},
                TaskState.DONE: {TaskState.DONE, TaskState.IN_PROGRESS},
                TaskState.CANCELLED: {TaskState.CANCELLED},
            }[before]
        )


def test_a_refusal_says_what_the_task_is_and_what_it_must_be() -> None:
    with pytest.raises(FailedPrecondition) as refusal:
        state_after("DONE", TaskAction.POSTPONE)
    assert refusal.value.message == "a task that is DONE can't be postponed; it must be TODO or IN_PROGRESS"
    assert refusal.value.metadata == {"state": "DONE"}


@pytest.mark.parametrize(
    ("closed_ago", "deadline_in", "new", "reason"),
    [
        (timedelta(hours=24), timedelta(hours=1), False, None),
        (timedelta(hours=24, seconds=1), timedelta(hours=1), True, "REOPEN_TOO_LATE"),
        (timedelta(hours=1), timedelta(0), False, "DEADLINE_PASSED"),
        (timedelta(hours=1), timedelta(0), True, None),
    ],
)
def test_reopening(closed_ago: timedelta, deadline_in: timedelta, new: bool, reason: str | None) -> None:
    def reopen() -> None:
        check_reopening(NOW - closed_ago, NOW + deadline_in, new_deadline=new, now=NOW)

    if reason is None:
        reopen()
        return
    with pytest.raises(FailedPrecondition) as refusal:
        reopen()
    assert refusal.value.reason == reason


def test_a_required_task_is_not_cancelled_by_hand() -> None:
    check_cancelling(required=False)
    with pytest.raises(FailedPrecondition):
        check_cancelling(required=True)
