"""The identity service: who works here, and who is calling."""

from functools import partial

from services.identity.api.first_start import make_first_employee
from services.identity.api.identity import IdentityServicer
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import Clock, utc_now
from services.shared.rpc.client import public_key_of
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "identity"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    service = Service(NAME, settings, clock)
    keys = SigningKeys(service.db, settings.command_key_file)
    service.prepare += [keys.current, partial(make_first_employee, service.db)]
    # The one service that knows the keys itself; all others ask this one.
    servicer = IdentityServicer(service.db, keys, public_key_of(settings.command_key_file))
    service.offer(servicer, public_keys=keys.public)
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
