"""The health service as tests use it: customers with figures, and runs carried out step by step."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.health.v1 import (
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    evaluations_service_pb2,
    evaluations_service_pb2_grpc,
    health_service_pb2,
    health_service_pb2_grpc,
)
from services.health import consumers
from services.health.domain.weeks import Week
from services.health.storage import usage
from services.health.storage.tables import evaluation_ranges, evaluations
from services.health.storage.usage import DayFigures
from services.shared.clock import utc_now
from services.shared.db.tables import outbox
from services.shared.ids import new_id
from services.shared.rpc.wire import to_timestamp
from tests.support.people import owned_by, tell_owners
from tests.support.services import RunningServices

MACHINE = "machine:processes"
TOLD = "told by a test"


class Health:
    """Stubs, customers with figures, and runs carried out step by step as the workflow does."""

    def __init__(self, services: RunningServices, rules: Any, steps: Any, alerts: Any) -> None:
        self.services = services
        self.rules = rules
        self.steps = steps
        self.alerts = alerts

    async def customer(self, week: Week, figures: dict[str, int] | None, *owners: str) -> UUID:
        """A customer with 10 seats, owned by these employees; with figures as `figures` sets them."""
        facts = owned_by(owners, seats=10)
        await self.owned(facts)
        if figures:
            await self.figures(UUID(facts.id), week, figures)
        return UUID(facts.id)

    async def owned(self, facts: CustomerFacts) -> None:
        """The service knows from now on who owns the customer."""
        await tell_owners(self.services, "health", facts)
        async with self.services.db("health").transaction(actor="machine:test", unscoped=TOLD) as write:
            await consumers.customers_changed(write, Event(), CustomersChanged(customers=[facts]))

    async def figures(self, customer_id: UUID, week: Week, figures: dict[str, int]) -> None:
        """Sets all days of the week to `figures`, and the 7 days before where they have none."""
        async with self.services.db("health").transaction(actor="machine:test", unscoped=TOLD) as write:
            days = [week.sunday - timedelta(days=back) for back in range(14 if week.next == self.last else 7)]
            rows = [DayFigures(str(new_id()), new_id().bytes, customer_id, day, figures) for day in days]
            await usage.take(write, "test", rows)

    @property
    def last(self) -> Week:
        return Week.last_ended(utc_now(), ZoneInfo("Asia/Shanghai"))

    async def forget_runs(self, week: Week) -> None:
        """Makes the week one that was never evaluated: others' tests may have made up for all weeks."""
        runs = select(evaluations.c.id).where(evaluations.c.week == week.monday)
        async with self.services.db("health").transaction(actor="machine:test") as write:
            await write.execute(delete(evaluation_ranges).where(evaluation_ranges.c.run_id.in_(runs)))
            await write.execute(delete(evaluations).where(evaluations.c.week == week.monday))

    async def evaluate(self, week: Week, number: int) -> Any:
        plan = evaluations_service_pb2.PlanEvaluationRequest(week=str(week), number=number)
        run = (await self.steps.PlanEvaluation(plan)).evaluation
        for key_range in range(run.ranges):
            await self.steps.EvaluateRange(
                evaluations_service_pb2.EvaluateRangeRequest(run_id=run.run_id, range=key_range)
            )
        finish = evaluations_service_pb2.FinishEvaluationRequest(run_id=run.run_id)
        return (await self.steps.FinishEvaluation(finish)).evaluation

    async def new_run(self, week: Week) -> Any:
        """Requests a run, carries it out and answers it."""
        asked = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()), week=str(week))
        run = (await self.rules.RequestEvaluation(asked)).evaluation
        return await self.evaluate(week, run.number)

    async def raise_alerts(self, run: Any) -> list[Any]:
        found: list[Any] = []
        for key_range in range(run.ranges):
            token = ""
            while True:
                answer = await self.alerts.RaiseAlerts(
                    alerts_service_pb2.RaiseAlertsRequest(
                        run_id=run.run_id, range=key_range, page_size=2, page_token=token
                    )
                )
                found += answer.alerts
                token = answer.next_page_token
                if not token:
                    break
        return found

    async def owed(self, done_before: datetime | None = None) -> list[tuple[str, int, str]]:
        """(run, range, week) of evaluated ranges whose alerts are not delivered, the longest waiting first."""
        found: list[Any] = []
        request = alerts_service_pb2.ListUnalertedRangesRequest(
            done_before=to_timestamp(done_before or utc_now()), page_size=1
        )
        while True:
            answer = await self.alerts.ListUnalertedRanges(request)
            assert len(answer.ranges) <= 1
            found += answer.ranges
            request.page_token = answer.next_page_token
            if not request.page_token:
                return [(one.run_id, one.range, one.week) for one in found]

    async def told(self, payload_class: Any) -> list[Any]:
        """The payloads of the events of that kind, oldest first."""
        async with self.services.db("health").read() as read:
            rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
        found = []
        for row in rows:
            payload = payload_class()
            if Event.FromString(row).payload.Unpack(payload):
                found.append(payload)
        return found


async def open_health(services: RunningServices) -> Health:
    """Starts the service where it doesn't run, and customers, which it asks for who isn't known yet."""
    await services.start("customers")
    return Health(
        services,
        await services.stub(health_service_pb2_grpc.HealthServiceStub),
        await services.stub(evaluations_service_pb2_grpc.EvaluationsServiceStub, MACHINE),
        await services.stub(alerts_service_pb2_grpc.AlertsServiceStub, MACHINE),
    )
