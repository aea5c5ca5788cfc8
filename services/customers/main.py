"""The customers service: who buys from us, whom we talk to there, and who of us looks after them."""

from functools import partial

from services.customers import consumers
from services.customers.api import search, timeline_events
from services.customers.api.attributes import AttributesServicer
from services.customers.api.contacts import ContactsServicer
from services.customers.api.customers import CustomersServicer
from services.customers.api.days import DaysServicer
from services.customers.api.groups import GroupsServicer
from services.customers.api.imports import ImportsServicer
from services.customers.api.overview import OverviewServicer
from services.customers.api.owners import OwnersServicer
from services.customers.api.peers import Peers
from services.customers.api.privacy import PrivacyServicer, confirming
from services.customers.api.segments import SegmentsServicer
from services.customers.api.tags import TagsServicer
from services.customers.api.timeline import TimelineServicer
from services.customers.settings import CustomersSettings
from services.customers.storage.tables import metadata
from services.shared.clock import Clock, utc_now
from services.shared.keyring import Keyring
from services.shared.rpc.client import Forwarding
from services.shared.runtime import Service, run_process

NAME = "customers"


async def build(settings: CustomersSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    handlers = consumers.handlers(settings.business_time_zone)
    keyring = Keyring(settings.encryption_keys_file)
    service = Service(
        NAME, settings, clock, metadata, {**handlers, **confirming()},
        apart={"timeline": timeline_events.HANDLERS, "search": search.HANDLERS}, knows_owners=False,
    )  # fmt: skip
    holders = {"tasks": service.channel(settings.tasks_address), "revenue": service.channel(settings.revenue_address)}
    addresses = (settings.tasks_address, settings.health_address, settings.revenue_address)
    peers = Peers(*(service.channel(address, Forwarding()) for address in addresses))
    segments = SegmentsServicer(service.db, clock, settings.business_time_zone)
    service.loops += [segments.run, partial(search.find_missing, service.db)]
    service.offer(
        segments,
        CustomersServicer(service.db, clock, settings.business_time_zone, keyring),
        AttributesServicer(service.db, keyring),
        ContactsServicer(service.db),
        OwnersServicer(service.db, service.directory),
        TagsServicer(service.db),
        GroupsServicer(service.db),
        ImportsServicer(service.db, keyring, settings.business_time_zone),
        OverviewServicer(service.db, clock, settings.business_time_zone, peers),
        TimelineServicer(service.db, clock, settings.business_time_zone, peers),
        PrivacyServicer(service.db, keyring, holders, service.token),
        DaysServicer(service.db, clock, settings.business_time_zone),
    )
    return service


def main() -> None:
    settings = CustomersSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
