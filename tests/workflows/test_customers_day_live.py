"""The daily work on real services: after a tick no day is left undone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from temporalio.client import Client

from kejing.customers.v1.days_service_pb2 import ListUndoneDaysRequest
from kejing.customers.v1.days_service_pb2_grpc import DaysServiceStub
from tests.support.customers import bring, fresh
from tests.support.eventually import eventually
from tests.support.services import RunningServices
from tests.workflows.live import ended
from workflows.main import Processes
from workflows.names import CUSTOMERS_DAY_SCHEDULE, customers_day_workflow


async def test_a_tick_does_every_day_until_today(
    services: RunningServices, processes: Processes, live_temporal: Client
) -> None:
    key = fresh("DAY")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])  # the first customer is the first day
    days = await services.stub(DaysServiceStub, "machine:processes")
    await live_temporal.get_schedule_handle(CUSTOMERS_DAY_SCHEDULE).trigger()

    async def all_done() -> bool:
        return not (await days.ListUndoneDays(ListUndoneDaysRequest())).days

    await eventually(all_done)
    today = datetime.now(UTC).astimezone(ZoneInfo("Asia/Shanghai")).date()
    await ended(live_temporal, customers_day_workflow(today.isoformat()))
