"""The customers service: who buys from us, whom we talk to there, and who of us looks after them."""

from functools import partial

from nats.aio.client import Client

from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.operations.v1 import dead_letters_service_pb2, dead_letters_service_pb2_grpc
from services.customers import consumers
from services.customers.api.customers import CustomersServicer
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.messaging.consumer import Consumer
from services.shared.messaging.dead_letters import DeadLettersServicer
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "customers"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    nats = Client()
    identity = channel(settings.identity_address)
    consumed = [Consumer(db, nats, NAME, consumers.HANDLERS)]
    offers = [
        Offer(
            customers_service_pb2.DESCRIPTOR.services_by_name["CustomersService"],
            customers_service_pb2_grpc.add_CustomersServiceServicer_to_server,
            CustomersServicer(db, clock, settings.business_time_zone),
        ),
        Offer(
            dead_letters_service_pb2.DESCRIPTOR.services_by_name["DeadLettersService"],
            dead_letters_service_pb2_grpc.add_DeadLettersServiceServicer_to_server,
            DeadLettersServicer(db, consumed),
        ),
    ]
    return Service(
        name=NAME,
        server=Server(settings.bind, TokenVerifier(partial(fetch_public_keys, identity)), offers),
        db=db,
        nats=nats,
        nats_url=settings.nats_url.get_secret_value(),
        consumers=consumed,
        close=[identity.close],
    )


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
