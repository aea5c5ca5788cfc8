"""The contract's TaskFacts as the workflow's TaskClock."""

from datetime import UTC

from kejing.tasks.v1.task_pb2 import TASK_STATE_IN_PROGRESS, TASK_STATE_TODO, TaskFacts
from workflows.task_lifecycle.types import TaskClock


def to_clock(facts: TaskFacts) -> TaskClock:
    return TaskClock(
        task_id=facts.task_id,
        customer_id=facts.customer_id,
        customer_label=facts.customer_label,
        theme_key=facts.theme_key,
        assignee_id=facts.assignee_id,
        deadline_at=facts.deadline_at.ToDatetime(UTC),
        reminders_at=[reminder.ToDatetime(UTC) for reminder in facts.reminders_at],
        version=facts.version,
        open=facts.state in (TASK_STATE_TODO, TASK_STATE_IN_PROGRESS),
    )
