"""The identity service: who works here, what he may, and who is calling."""

from functools import partial

from services.identity.api.audit import AuditServicer
from services.identity.api.departments import DepartmentsServicer
from services.identity.api.deputies import DeputiesServicer
from services.identity.api.directory import DirectoryServicer
from services.identity.api.employees import EmployeesServicer
from services.identity.api.first_start import prepare
from services.identity.api.holdings import asked_of
from services.identity.api.passwords import Passwords
from services.identity.api.roles import RolesServicer
from services.identity.api.sessions import SessionsServicer
from services.identity.settings import IdentitySettings
from services.identity.storage.signing_keys import SigningKeys
from services.identity.storage.tables import metadata
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.clock import Clock, utc_now
from services.shared.rpc.client import AsMachine
from services.shared.runtime import Service, run_process

NAME = "identity"


async def build(settings: IdentitySettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    service = Service(NAME, settings, clock, metadata, knows_employees=False, knows_owners=False)
    keys = SigningKeys(service.db, settings.machine_key_file)
    service.prepare += [keys.current, partial(prepare, service.db)]
    zone, as_identity = settings.business_time_zone, AsMachine(service.token)
    others = {
        name: service.channel(address, as_identity)
        for name, address in {
            "customers": settings.customers_address,
            "tasks": settings.tasks_address,
            "health": settings.health_address,
            "revenue": settings.revenue_address,
            "notifications": settings.notifications_address,
        }.items()
    }
    passwords = Passwords(service.db)
    sessions = SessionsServicer(service.db, keys, passwords, settings)
    service.close += [passwords.close, sessions.close]
    service.offer(
        sessions,
        EmployeesServicer(service.db, zone, asked_of(others["customers"], others["tasks"]), passwords),
        DepartmentsServicer(service.db),
        RolesServicer(service.db),
        DeputiesServicer(service.db, zone),
        DirectoryServicer(service.db, zone),
        AuditServicer(AuditRecordsServicer(service.db, NAME), others),
        public_keys=keys.public,  # the one service that knows the keys itself; all others ask this one
    )
    return service


def main() -> None:
    settings = IdentitySettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
