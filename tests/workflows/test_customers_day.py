"""The daily work at customers: every business day once, the missed ones too, in bounded steps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from random import randrange
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from temporalio import activity
from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.support.eventually import eventually
from workflows import customers_day
from workflows.customers_day.schedule import schedule
from workflows.customers_day.types import DayOrder, DayResult, PartDone
from workflows.customers_day.workflow import CustomersDay, CustomersDayTick
from workflows.names import TaskQueue, customers_day_workflow
from workflows.schedules import ensure_schedule
from workflows.worker import sandbox


class DaysStandIn:
    """The customers service's side. Each part takes `steps` steps; calls of the numbers in `away_at` fail."""

    def __init__(self, undone: list[str], steps: int) -> None:
        self.undone = undone
        self.steps = steps
        self.noticed: list[tuple[str, str]] = []
        self.refreshed: list[str] = []
        self.finished: list[str] = []
        self.impossible: set[str] = set()
        self.calls = 0
        self.away_at: set[int] = set()

    @activity.defn
    async def list_undone_days(self) -> list[str]:
        return self.undone

    @activity.defn
    async def notice_churn(self, day: str, page_token: str) -> PartDone:
        if day in self.impossible:
            raise ApplicationError("no", type="DATE_WRONG", non_retryable=True)
        return self._step(self.noticed, (day, page_token), page_token)

    @activity.defn
    async def refresh_segments(self, page_token: str) -> PartDone:
        return self._step(self.refreshed, page_token, page_token)

    @activity.defn
    async def finish_day(self, day: str) -> None:
        self.finished.append(day)
        self.undone = [each for each in self.undone if each != day]

    def _step(self, log: list[Any], entry: Any, page_token: str) -> PartDone:
        self.calls += 1
        if self.calls in self.away_at:
            raise ApplicationError("the service is away", type="UNAVAILABLE")
        log.append(entry)
        number = int(page_token or "0") + 1
        return PartDone(10, str(number) if number < self.steps else "")

    @property
    def activities(self) -> list[Any]:
        return [self.list_undone_days, self.notice_churn, self.refresh_segments, self.finish_day]


@asynccontextmanager
async def running(client: Client, *undone: str, steps: int = 2) -> AsyncIterator[DaysStandIn]:
    """A worker on the queue of batch work, with a customers service of its own."""
    service = DaysStandIn(list(undone), steps)
    async with Worker(
        client,
        task_queue=TaskQueue.BATCH,
        workflows=customers_day.WORKFLOWS,
        activities=service.activities,
        workflow_runner=sandbox(),
    ):
        yield service


def some_days(count: int) -> list[str]:
    """Days in a row that no other test works on: the ids of workflows are days."""
    first = date(2100, 1, 1) + timedelta(days=randrange(1_000_000))
    return [(first + timedelta(days=n)).isoformat() for n in range(count)]


async def test_a_day_does_its_parts_in_their_order_step_by_step(temporal: Client) -> None:
    [day] = some_days(1)
    async with running(temporal, steps=3) as service:
        service.away_at = {2, 5}
        result = await temporal.execute_workflow(
            CustomersDay.run, DayOrder(day), id=customers_day_workflow(day), task_queue=TaskQueue.BATCH
        )
        assert result == DayResult(noticed=30, changed=30)
        assert service.noticed == [(day, ""), (day, "1"), (day, "2")]
        assert service.refreshed == ["", "1", "2"]
        assert service.finished == [day]


async def test_the_tick_sees_to_every_missed_day_and_looks_at_segments_once(temporal: Client) -> None:
    days = some_days(3)
    async with running(temporal, *days, steps=1) as service:
        assert await tick(temporal) == 3
        assert service.noticed == [(day, "") for day in days]
        assert service.refreshed == [""]
        assert service.finished == days


async def test_a_day_that_fails_holds_no_later_one_up_and_is_tried_again(temporal: Client) -> None:
    one, two = some_days(2)
    async with running(temporal, one, two, steps=1) as service:
        service.impossible = {one}
        assert await tick(temporal) == 2
        assert service.finished == [two]
        service.impossible = set()
        assert await tick(temporal) == 1
        assert service.finished == [two, one]


async def test_a_day_that_is_not_done_any_more_is_done_again(temporal: Client) -> None:
    """As where a database was restored: the row is the truth."""
    [day] = some_days(1)
    async with running(temporal, day, steps=1) as service:
        await tick(temporal)
        service.undone = [day]
        await tick(temporal)
        assert service.finished == [day, day]


async def test_a_day_with_much_to_do_goes_on_with_a_fresh_history(short_histories: Client) -> None:
    [day] = some_days(1)
    async with running(short_histories, steps=8) as service:
        handle = await short_histories.start_workflow(
            CustomersDay.run, DayOrder(day), id=customers_day_workflow(day), task_queue=TaskQueue.BATCH
        )
        assert await handle.result() == DayResult(noticed=80, changed=80)
        assert len(service.noticed) == len(service.refreshed) == 8
        assert handle.first_execution_run_id != (await handle.describe()).run_id


async def test_the_schedule_ticks_when_a_business_day_begins(temporal: Client) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    schedule_id, _ = schedule(zone)
    await ensure_schedule(temporal, *schedule(zone))
    await ensure_schedule(temporal, *schedule(zone))
    handle = temporal.get_schedule_handle(schedule_id)

    async def described() -> Any:
        found = await handle.describe()
        return found.info.next_action_times and found

    found = await eventually(described)
    times = [instant.astimezone(zone) for instant in found.info.next_action_times[:3]]
    assert [(at.hour, at.minute, at.second) for at in times] == [(0, 0, 5)] * 3
    assert times[1].date() - times[0].date() == timedelta(days=1)
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.BUFFER_ONE
    await handle.delete()


async def test_a_schedule_that_is_new_ticks_at_once(temporal: Client) -> None:
    """So days that were missed are made up for when Temporal's data was lost."""
    [day], zone = some_days(1), ZoneInfo("Asia/Shanghai")
    handle = temporal.get_schedule_handle(schedule(zone)[0])
    async with running(temporal, day, steps=1) as service:
        await ensure_schedule(temporal, *schedule(zone))
        try:

            async def made_up() -> bool:
                return service.finished == [day]

            await eventually(made_up)
        finally:
            await handle.delete()


async def tick(client: Client) -> int:
    return await client.execute_workflow(CustomersDayTick.run, id=f"tick-{uuid4()}", task_queue=TaskQueue.BATCH)
