"""The revenue service: contract orders, and the recurring revenue that follows from them."""

from functools import partial

from kejing.customers.v1 import customers_service_pb2_grpc
from services.revenue import consumers
from services.revenue.api.orders import OrdersServicer
from services.revenue.api.revenue import RevenueServicer
from services.revenue.settings import RevenueSettings
from services.shared.clock import Clock, utc_now
from services.shared.rpc.client import Forwarding, channel
from services.shared.runtime import Service, run_process

NAME = "revenue"


async def build(settings: RevenueSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    service = Service(NAME, settings, clock, consumers.HANDLERS)
    to_customers = channel(settings.customers_address, Forwarding())
    service.close.append(to_customers.close)
    service.offer(
        OrdersServicer(service.db, customers_service_pb2_grpc.CustomersServiceStub(to_customers)),
        RevenueServicer(service.db),
    )
    return service


def main() -> None:
    settings = RevenueSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
