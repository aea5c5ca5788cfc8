"""The clock of a task: reminders and the deadline, durable and movable."""

from workflows.task_lifecycle.activities import TaskActivities
from workflows.task_lifecycle.workflow import TaskLifecycle

WORKFLOWS = [TaskLifecycle]
ACTIVITIES = [TaskActivities]
