"""The story: its chapters in their order."""

import grpc

from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.health.v1 import alerts_service_pb2, alerts_service_pb2_grpc
from services.cli.client import connect
from services.cli.demo.chapters import (
    access,
    audit,
    closing,
    customers,
    health,
    overview,
    people,
    processes,
    revenue,
    tasks,
    timeline,
)
from services.cli.demo.stage import set_up
from services.cli.failure import lines_of

CHAPTERS = (people, customers, access, revenue, tasks, processes, health, timeline, overview, audit, closing)


def tell() -> None:
    """Plays all chapters against the stack of this home. Raises CommandFailed, naming the step that went wrong."""
    stage = set_up()
    try:
        for chapter in CHAPTERS:
            chapter.play(stage)
    except grpc.RpcError as error:
        raise stage.teller.failed("\n".join(lines_of(error)).removeprefix("kejing: ")) from error
    finally:
        stage.close()


def was_told() -> bool:
    """Whether this home heard the story before, up to its last events: there are its customers, and alerts."""
    first = set_up().customers[0]
    with connect("admin") as kejing:
        service = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub)
        asked = customers_service_pb2.ListCustomersRequest(
            page_size=10, filter=customers_service_pb2.CustomerFilter(name_prefix=first.name)
        )
        if not any(each.external_id == first.external_id for each in service.ListCustomers(asked).customers):
            return False
        alerts = kejing.stub(alerts_service_pb2_grpc.AlertsServiceStub)
        return bool(alerts.ListAlerts(alerts_service_pb2.ListAlertsRequest(page_size=1)).alerts)
