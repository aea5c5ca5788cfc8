"""The health service: what customers do, how healthy that makes them, and whom to tell."""

from functools import partial

from nats.aio.client import Client

from kejing.health.v1 import (
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    evaluations_service_pb2,
    evaluations_service_pb2_grpc,
    health_service_pb2,
    health_service_pb2_grpc,
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)
from services.health import consumers
from services.health.api.alerts import AlertsServicer
from services.health.api.evaluations import EvaluationsServicer
from services.health.api.health import HealthServicer
from services.health.api.metrics import MetricsServicer
from services.shared.clock import Clock, utc_now
from services.shared.db import Database
from services.shared.messaging.consumer import Consumer
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.server import Offer, Server
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings

NAME = "health"


async def build(settings: ServiceSettings, clock: Clock = utc_now) -> Service:
    """The service, put together and not yet started. Raises RuntimeError where settings.bind is taken."""
    db = Database(settings.database_url.get_secret_value(), clock)
    nats = Client()
    identity = channel(settings.identity_address)
    zone = settings.business_time_zone
    offers = [
        Offer(
            metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"],
            metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server,
            MetricsServicer(db, clock, zone),
        ),
        Offer(
            health_service_pb2.DESCRIPTOR.services_by_name["HealthService"],
            health_service_pb2_grpc.add_HealthServiceServicer_to_server,
            HealthServicer(db, clock, zone),
        ),
        Offer(
            evaluations_service_pb2.DESCRIPTOR.services_by_name["EvaluationsService"],
            evaluations_service_pb2_grpc.add_EvaluationsServiceServicer_to_server,
            EvaluationsServicer(db, clock, zone),
        ),
        Offer(
            alerts_service_pb2.DESCRIPTOR.services_by_name["AlertsService"],
            alerts_service_pb2_grpc.add_AlertsServiceServicer_to_server,
            AlertsServicer(db),
        ),
    ]
    return Service(
        name=NAME,
        server=Server(settings.bind, TokenVerifier(partial(fetch_public_keys, identity)), offers),
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
