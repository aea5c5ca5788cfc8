"""The revenue service: contract orders, and the recurring revenue that follows from them."""

from functools import partial

from services.revenue import consumers
from services.revenue.api.orders import OrdersServicer
from services.revenue.api.revenue import RevenueServicer
from services.revenue.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "revenue"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    service = Service(NAME, settings, clock, metadata, consumers.HANDLERS)
    service.offer(
        OrdersServicer(service.db, service.customers.ensure), RevenueServicer(service.db, service.customers.ensure)
    )
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
