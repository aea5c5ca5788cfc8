"""The revenue service: contract orders, and the recurring revenue that follows from them."""

from functools import partial

from nats.aio.client import Client

from kejing.customers.v1 import customers_service_pb2_grpc
from kejing.revenue.v1 import (
    orders_service_pb2,
    orders_service_pb2_grpc,
    revenue_service_pb2,
    revenue_service_pb2_grpc,
)
from services.revenue import consumers
from services.revenue.api.orders import OrdersServicer
from services.revenue.api.revenue import RevenueServicer
from services.revenue.settings import RevenueSettings
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.messaging.consumer import Consumer
from services.shared.rpc.client import Forwarding, channel, fetch_public_keys
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import Service, run_process

NAME = "revenue"


async def build(settings: RevenueSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    nats = Client()
    identity = channel(settings.identity_address)
    to_customers = channel(settings.customers_address, Forwarding())
    offers = [
        Offer(
            orders_service_pb2.DESCRIPTOR.services_by_name["OrdersService"],
            orders_service_pb2_grpc.add_OrdersServiceServicer_to_server,
            OrdersServicer(db, customers_service_pb2_grpc.CustomersServiceStub(to_customers)),
        ),
        Offer(
            revenue_service_pb2.DESCRIPTOR.services_by_name["RevenueService"],
            revenue_service_pb2_grpc.add_RevenueServiceServicer_to_server,
            RevenueServicer(db),
        ),
    ]
    return Service(
        name=NAME,
        server=Server(settings.bind, TokenVerifier(partial(fetch_public_keys, identity)), offers),
        db=db,
        nats=nats,
        nats_url=settings.nats_url.get_secret_value(),
        consumers=[Consumer(db, nats, NAME, consumers.HANDLERS)],
        close=[identity.close, to_customers.close],
    )


def main() -> None:
    settings = RevenueSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
