"""The identity service: who works here, and who is calling."""

from functools import partial

from nats.aio.client import Client

from kejing.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from services.identity.api.first_start import make_first_employee
from services.identity.api.identity import IdentityServicer
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.rpc.client import public_key_of
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "identity"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    keys = SigningKeys(db, settings.command_key_file)
    servicer = IdentityServicer(db, keys, public_key_of(settings.command_key_file))
    offer = Offer(
        identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server,
        servicer,
    )
    # The one service that knows the keys itself; all others ask this one (fetch_public_keys).
    server = Server(settings.bind, TokenVerifier(keys.public), [offer])
    return Service(
        name=NAME,
        server=server,
        db=db,
        nats=Client(),
        nats_url=settings.nats_url.get_secret_value(),
        prepare=[keys.current, partial(make_first_employee, db)],
    )


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
