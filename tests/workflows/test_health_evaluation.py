"""The weekly evaluation: every range once, two at a time, every week that is due, alerts at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from temporalio import activity
from temporalio.client import Client, ScheduleOverlapPolicy, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from kejing.health.v1.events_pb2 import EvaluationRequested
from tests.support.eventually import eventually
from workflows import alert_fanout, health_evaluation
from workflows.alert_fanout.types import AlertPage, RaisedAlert
from workflows.health_evaluation.schedule import schedule
from workflows.health_evaluation.starting import start_requested
from workflows.health_evaluation.types import EvaluationOrder, EvaluationResult, Plan, Progress, RangeResult
from workflows.health_evaluation.workflow import IN_FLIGHT, HealthEvaluation, HealthTick
from workflows.names import TaskQueue, alerts_workflow, health_workflow
from workflows.schedules import ensure_schedule
from workflows.worker import sandbox

CSM = str(uuid4())
"""The employee who asks for evaluations."""


class HealthStandIn:
    """The health service's side, in the smallest form. Ranges 1 and 4 are answered only at the second try."""

    def __init__(self, weeks: list[str], ranges: int) -> None:
        self.unfinished = weeks
        self.ranges = ranges
        self.planned: list[tuple[str, int]] = []
        self.evaluated: list[int] = []
        self.finished: list[str] = []
        self.raised: list[tuple[int, str]] = []
        self.delivered: list[str] = []
        self.alerted: list[tuple[str, int]] = []
        self.at_once = self.most_at_once = 0
        self.impossible: set[str] = set()
        self.actors: list[str] = []

    @activity.defn
    async def list_unfinished_weeks(self) -> list[str]:
        return self.unfinished

    @activity.defn
    async def plan_evaluation(self, week: str, number: int, actor: str) -> Plan:
        self.actors.append(actor)
        if week in self.impossible:
            raise ApplicationError("no", type="WEEK_WRONG", non_retryable=True)
        self.planned.append((week, number))
        return Plan(f"{week}/{number}", self.ranges, 1)

    @activity.defn
    async def evaluate_range(self, run_id: str, number: int, actor: str) -> RangeResult:
        self.actors.append(actor)
        if activity.info().attempt == 1 and number in (1, 4):
            raise ApplicationError("the service is away")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.evaluated.append(number)
        self.at_once -= 1
        return RangeResult(10, 2 if number == 1 else 0)

    @activity.defn
    async def finish_evaluation(self, run_id: str, actor: str) -> None:
        self.actors.append(actor)
        self.finished.append(run_id)
        self.unfinished = [week for week in self.unfinished if week != run_id.partition("/")[0]]

    @activity.defn
    async def raise_alerts(self, run_id: str, key_range: int, page_token: str, actor: str) -> AlertPage:
        self.actors.append(actor)
        self.raised.append((key_range, page_token))
        alerts = [RaisedAlert(f"{run_id}:{page_token}", str(uuid4()), {"to": "AT_RISK"})]
        return AlertPage(alerts if page_token != "empty" else [], {"": "empty", "empty": "last"}.get(page_token, ""))

    @activity.defn
    async def deliver_alerts(self, alerts: list[RaisedAlert], actor: str) -> int:
        self.actors.append(actor)
        self.delivered += [alert.alert_id for alert in alerts]
        if activity.info().attempt == 1:
            raise ApplicationError("delivered, and then the connection broke")
        return 2 * len(alerts)

    @activity.defn
    async def mark_range_alerted(self, run_id: str, key_range: int, actor: str) -> None:
        self.actors.append(actor)
        assert self.delivered, "marked before anything was delivered"
        self.alerted.append((run_id, key_range))

    @property
    def activities(self) -> list[Any]:
        return [self.list_unfinished_weeks, self.plan_evaluation, self.evaluate_range, self.finish_evaluation,
                self.raise_alerts, self.deliver_alerts, self.mark_range_alerted]  # fmt: skip


@asynccontextmanager
async def running(client: Client, *weeks: str, ranges: int = 5) -> AsyncIterator[HealthStandIn]:
    """A worker on the queue of batch work, with a health service of its own."""
    service = HealthStandIn(list(weeks), ranges)
    async with Worker(
        client,
        task_queue=TaskQueue.BATCH,
        workflows=[*health_evaluation.WORKFLOWS, *alert_fanout.WORKFLOWS],
        activities=service.activities,
        workflow_runner=sandbox(),
    ):
        yield service


def a_week() -> str:
    """A week that no other test evaluates: the ids of workflows are weeks."""
    return f"{uuid4().hex[:8]}-W01"


async def test_every_range_is_evaluated_once_and_two_at_a_time(temporal: Client) -> None:
    week = a_week()
    async with running(temporal, ranges=9) as service:
        result = await temporal.execute_workflow(
            HealthEvaluation.run, EvaluationOrder(week), id=health_workflow(week), task_queue=TaskQueue.BATCH
        )
        assert result == EvaluationResult(f"{week}/1", 90, 2)
        assert sorted(service.evaluated) == list(range(9))
        assert service.most_at_once <= IN_FLIGHT
        assert service.finished == [f"{week}/1"]
        fan_out = temporal.get_workflow_handle(alerts_workflow(f"{week}/1", "1"))
        assert await fan_out.result() == {"raised": 2, "delivered": 4}
        assert service.raised == [(1, ""), (1, "empty"), (1, "last")]
        assert service.alerted == [(f"{week}/1", 1)]
        assert not [one async for one in temporal.list_workflows(f'WorkflowId = "{alerts_workflow(f"{week}/1", "0")}"')]


async def test_a_long_run_goes_on_with_a_fresh_history(temporal: Client) -> None:
    week = a_week()
    done = Progress(Plan(f"{week}/1", 505, 1), next_range=494, customers=4940, changed_ranges=[])
    async with running(temporal) as service:
        handle = await temporal.start_workflow(
            HealthEvaluation.run, EvaluationOrder(week, 1, done), id=health_workflow(week), task_queue=TaskQueue.BATCH
        )
        assert (await handle.result()).customers == 5050
        assert sorted(service.evaluated) == list(range(494, 505))
        assert handle.first_execution_run_id != (await handle.describe()).run_id
        assert service.planned == []


async def test_the_tick_sees_to_every_week_in_order_and_to_failed_ones_again(temporal: Client) -> None:
    one, two, three = (a_week() for _ in range(3))
    async with running(temporal, one, two, three, ranges=1) as service:
        service.impossible = {two}
        seen = await temporal.execute_workflow(HealthTick.run, id=f"tick-{uuid4()}", task_queue=TaskQueue.BATCH)
        assert seen == [one, two, three]
        assert service.planned == [(one, 1), (three, 1)]
        service.impossible = set()
        service.unfinished = [one, two]
        await temporal.execute_workflow(HealthTick.run, id=f"tick-{uuid4()}", task_queue=TaskQueue.BATCH)
        assert service.planned == [(one, 1), (three, 1), (two, 1)]


async def test_a_request_starts_its_run_once(temporal: Client) -> None:
    week = a_week()
    async with running(temporal, ranges=1) as service:
        for _ in range(2):
            for number in (1, 2):
                await start_requested(temporal, EvaluationRequested(run_id=str(uuid4()), week=week, number=number), CSM)
        for number in (1, 2):
            await temporal.get_workflow_handle(health_workflow(week, number)).result()
        await start_requested(temporal, EvaluationRequested(run_id=str(uuid4()), week=week, number=2), CSM)
        assert sorted(service.planned) == [(week, 1), (week, 2)]


async def test_every_step_of_a_run_is_done_for_the_employee_who_asked(temporal: Client) -> None:
    asked, due = a_week(), a_week()
    async with running(temporal, ranges=2) as service:
        await start_requested(temporal, EvaluationRequested(run_id=str(uuid4()), week=asked, number=1), CSM)
        await temporal.get_workflow_handle(health_workflow(asked)).result()
        await temporal.get_workflow_handle(alerts_workflow(f"{asked}/1", "1")).result()
        assert len(service.actors) >= 10
        assert set(service.actors) == {CSM}
        service.actors.clear()
        await temporal.execute_workflow(
            HealthEvaluation.run, EvaluationOrder(due), id=health_workflow(due), task_queue=TaskQueue.BATCH
        )
        assert set(service.actors) == {""}


async def test_a_run_that_failed_is_started_again_under_its_id(temporal: Client) -> None:
    week = a_week()
    async with running(temporal, ranges=1) as service:
        service.impossible = {week}
        request = EvaluationRequested(run_id=str(uuid4()), week=week, number=1)
        await start_requested(temporal, request, CSM)
        with pytest.raises(WorkflowFailureError):
            await temporal.get_workflow_handle(health_workflow(week)).result()
        service.impossible = set()
        await start_requested(temporal, request, CSM)
        await temporal.get_workflow_handle(health_workflow(week)).result()
        assert service.finished == [f"{week}/1"]


async def test_a_schedule_that_is_new_ticks_at_once(temporal: Client) -> None:
    """So weeks that were missed are made up for when Temporal's data was lost; a schedule that is there waits."""
    week, zone = a_week(), ZoneInfo("Asia/Shanghai")
    handle = temporal.get_schedule_handle(schedule(zone)[0])
    async with running(temporal, week, ranges=1) as service:
        await ensure_schedule(temporal, *schedule(zone))
        try:

            async def made_up() -> bool:
                return service.finished == [f"{week}/1"]

            await eventually(made_up)
            await ensure_schedule(temporal, *schedule(zone))
            assert (await handle.describe()).info.num_actions == 1
        finally:
            await handle.delete()


async def test_the_schedule_ticks_on_mondays_in_the_business_zone(temporal: Client) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    schedule_id, _ = schedule(zone)
    await ensure_schedule(temporal, *schedule(zone))
    await ensure_schedule(temporal, *schedule(zone))
    handle = temporal.get_schedule_handle(schedule_id)

    async def described() -> Any:
        found = await handle.describe()
        return found.info.next_action_times and found

    found = await eventually(described)
    first = found.info.next_action_times[0].astimezone(zone)
    assert (first.weekday(), first.hour, first.minute) == (0, 2, 0)
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    await handle.delete()
