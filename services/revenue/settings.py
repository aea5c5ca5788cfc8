"""Settings of the revenue service."""

from services.shared.settings import ServiceSettings


class RevenueSettings(ServiceSettings):
    """What the revenue service needs to know beside the common settings."""

    customers_address: str
    """host:port of the customers service, which is asked for a customer that no event has told of yet."""
