"""The notifications service: what employees are told."""

from functools import partial

from services.notifications import consumers
from services.notifications.api.inbox import InboxServicer
from services.notifications.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "notifications"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    zone = settings.business_time_zone
    service = Service(NAME, settings, clock, metadata, consumers.handlers(zone))
    service.offer(InboxServicer(service.db, clock, zone, service.directory))
    return service


def main() -> None:
    settings = ServiceSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
