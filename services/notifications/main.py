"""The notifications service: who is told what, once."""

from functools import partial

from nats.aio.client import Client

from kejing.notifications.v1 import inbox_service_pb2, inbox_service_pb2_grpc
from services.notifications import consumers
from services.notifications.api.inbox import InboxServicer
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.messaging.consumer import Consumer
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "notifications"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    nats = Client()
    identity = channel(settings.identity_address)
    offer = Offer(
        inbox_service_pb2.DESCRIPTOR.services_by_name["InboxService"],
        inbox_service_pb2_grpc.add_InboxServiceServicer_to_server,
        InboxServicer(db),
    )
    return Service(
        name=NAME,
        server=Server(settings.bind, TokenVerifier(partial(fetch_public_keys, identity)), [offer]),
        db=db,
        nats=nats,
        nats_url=settings.nats_url.get_secret_value(),
        consumers=[Consumer(db, nats, NAME, consumers.HANDLERS)],
        close=[identity.close],
    )


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
