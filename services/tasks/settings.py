"""Settings of the tasks service."""

from datetime import timedelta

from services.shared.settings import ServiceSettings


class TasksSettings(ServiceSettings):
    """What the tasks service needs to know beyond what every service does."""

    task_reminders: tuple[timedelta, ...] = (timedelta(days=1), timedelta(hours=2))
    """How long before a deadline to remind, e.g. KEJING_TASK_REMINDERS='["P1D", "PT2H"]'."""
