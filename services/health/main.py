"""The health service: what customers do, how healthy that makes them, and whom to tell."""

from functools import partial

from services.health import consumers
from services.health.api.alerts import AlertsServicer
from services.health.api.customers import CustomersInScope
from services.health.api.evaluations import EvaluationsServicer
from services.health.api.health import HealthServicer
from services.health.api.metrics import MetricsServicer
from services.health.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "health"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    service = Service(NAME, settings, clock, metadata, consumers.HANDLERS)
    db, zone = service.db, settings.business_time_zone
    customers = CustomersInScope(db, service.customers.ensure)
    service.offer(
        MetricsServicer(db, clock, zone, customers),
        HealthServicer(db, clock, zone, customers),
        EvaluationsServicer(db, clock, zone),
        AlertsServicer(db),
    )
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
