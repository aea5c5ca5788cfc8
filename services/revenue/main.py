"""The revenue service: contract orders, and the recurring revenue that follows from them."""

from functools import partial

from kejing.revenue.v1.events_pb2 import PersonalDataErased
from services.revenue import consumers
from services.revenue.api.customer_facts import tell_untold
from services.revenue.api.orders import OrdersServicer
from services.revenue.api.revenue import RevenueServicer
from services.revenue.storage import personal
from services.revenue.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.privacy import PersonalDataServicer, eraser
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "revenue"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    erasing = {"privacy": eraser(NAME, personal.HELD, PersonalDataErased)}
    service = Service(NAME, settings, clock, metadata, consumers.HANDLERS, apart=erasing)
    service.loops.append(partial(tell_untold, service.db))
    service.offer(
        OrdersServicer(service.db, service.customers.ensure),
        RevenueServicer(service.db, service.customers.ensure),
        PersonalDataServicer(service.db, personal.HELD),
    )
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
