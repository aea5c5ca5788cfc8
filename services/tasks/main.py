"""The tasks service: themes, follow-ups, tasks with their deadlines, process definitions, the records of processes."""

from functools import partial

from nats.aio.client import Client

from kejing.operations.v1 import dead_letters_service_pb2, dead_letters_service_pb2_grpc
from kejing.tasks.v1 import (
    follow_ups_service_pb2,
    follow_ups_service_pb2_grpc,
    process_definitions_service_pb2,
    process_definitions_service_pb2_grpc,
    process_records_service_pb2,
    process_records_service_pb2_grpc,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
    themes_service_pb2,
    themes_service_pb2_grpc,
)
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.messaging.consumer import Consumer
from services.shared.messaging.dead_letters import DeadLettersServicer
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
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

NAME = "tasks"


async def build(settings: TasksSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    nats = Client()
    identity = channel(settings.identity_address)
    parties = Parties(db, settings.customers_address, settings.identity_address)
    zone, reminders = settings.business_time_zone, Reminders(settings.task_reminders)
    consumed = [Consumer(db, nats, NAME, consumers.HANDLERS)]
    offers = [
        Offer(
            themes_service_pb2.DESCRIPTOR.services_by_name["ThemesService"],
            themes_service_pb2_grpc.add_ThemesServiceServicer_to_server,
            ThemesServicer(db),
        ),
        Offer(
            tasks_service_pb2.DESCRIPTOR.services_by_name["TasksService"],
            tasks_service_pb2_grpc.add_TasksServiceServicer_to_server,
            TasksServicer(db, clock, zone, reminders, parties),
        ),
        Offer(
            follow_ups_service_pb2.DESCRIPTOR.services_by_name["FollowUpsService"],
            follow_ups_service_pb2_grpc.add_FollowUpsServiceServicer_to_server,
            FollowUpsServicer(db, reminders, parties),
        ),
        Offer(
            process_definitions_service_pb2.DESCRIPTOR.services_by_name["ProcessDefinitionsService"],
            process_definitions_service_pb2_grpc.add_ProcessDefinitionsServiceServicer_to_server,
            ProcessDefinitionsServicer(db, parties),
        ),
        Offer(
            process_records_service_pb2.DESCRIPTOR.services_by_name["ProcessRecordsService"],
            process_records_service_pb2_grpc.add_ProcessRecordsServiceServicer_to_server,
            ProcessRecordsServicer(db, zone, reminders, parties),
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
        close=[parties.close, identity.close],
    )


def main() -> None:
    settings = TasksSettings()  # type: ignore[call-arg]  # from the environment
    run_process(NAME, settings.log_format, partial(build, settings))


if __name__ == "__main__":
    main()
