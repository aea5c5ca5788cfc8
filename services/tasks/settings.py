"""Settings of the tasks service."""

from datetime import timedelta

from services.shared.settings import ServiceSettings


class TasksSettings(ServiceSettings):
    """What the tasks service needs to know beyond what every service does."""

    customers_address: str
    """host:port of the customers service, which is asked for a customer that no event has told of yet."""
    task_reminders: tuple[timedelta, ...] = (timedelta(days=1), timedelta(hours=2))
    """How long before a deadline to remind, e.g. KEJING_TASK_REMINDERS='["P1D", "PT2H"]'."""
