"""Settings of the customers service."""

from pathlib import Path

from services.shared.settings import ServiceSettings


class CustomersSettings(ServiceSettings):
    """What customers needs to know beyond what every service does."""

    encryption_keys_file: Path
    """Keys, newest first (see services.shared.keyring), under which national ids and files of imports are encrypted."""
    tasks_address: str
    """host:port of the tasks service, asked with the caller's own token for what an overview shows."""
    health_address: str
    """host:port of the health service, asked as tasks is."""
    revenue_address: str
    """host:port of the revenue service, asked as tasks is."""
