"""Settings of the process that runs workflows, from KEJING_* environment variables."""

from services.shared.settings import Settings


class WorkflowsSettings(Settings):
    """Addresses are host:port."""

    temporal_address: str
    temporal_namespace: str = "default"
    tasks_address: str
    customers_address: str
    health_address: str
    notifications_address: str
