"""The customers service: who buys from us, whom we talk to there, and who of us looks after them."""

from functools import partial

from services.customers import consumers
from services.customers.api.customers import CustomersServicer
from services.customers.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "customers"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    handlers = consumers.handlers(settings.business_time_zone)
    service = Service(NAME, settings, clock, metadata, handlers, knows_owners=False)
    service.offer(CustomersServicer(service.db, clock, settings.business_time_zone))
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
