"""The tasks service: themes, follow-ups, tasks with their deadlines, process definitions, the records of processes."""

from functools import partial

from kejing.tasks.v1.events_pb2 import PersonalDataErased
from services.shared.clock import Clock, utc_now
from services.shared.privacy import PersonalDataServicer, eraser
from services.shared.runtime import Service, run_process
from services.tasks import consumers
from services.tasks.api.follow_ups import FollowUpsServicer
from services.tasks.api.parties import Parties
from services.tasks.api.process_definitions import ProcessDefinitionsServicer
from services.tasks.api.process_records import ProcessRecordsServicer
from services.tasks.api.tasks import TasksServicer
from services.tasks.api.themes import ThemesServicer
from services.tasks.domain.notices import Reminders
from services.tasks.settings import TasksSettings
from services.tasks.storage import personal
from services.tasks.storage.tables import metadata

NAME = "tasks"


async def build(settings: TasksSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    zone, reminders = settings.business_time_zone, Reminders(settings.task_reminders)
    erasing = {"privacy": eraser(NAME, personal.HELD, PersonalDataErased)}
    service = Service(NAME, settings, clock, metadata, consumers.handlers(reminders), apart=erasing)
    db, parties = service.db, Parties(service.db, service.customers, service.directory)
    service.offer(
        ThemesServicer(db),
        TasksServicer(db, clock, zone, reminders, parties),
        FollowUpsServicer(db, reminders, parties),
        ProcessDefinitionsServicer(db, parties),
        ProcessRecordsServicer(db, zone, reminders, parties),
        PersonalDataServicer(db, personal.HELD),
    )
    return service


def main() -> None:
    settings = TasksSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
