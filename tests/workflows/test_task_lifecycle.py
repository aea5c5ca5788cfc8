"""The clock of a task: what it rings, when, and what changes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from tests.support.eventually import eventually
from tests.workflows.stand_ins import ZONE, TaskStandIn, a_task
from workflows.names import DUE_AT, OVERDUE, task_workflow
from workflows.task_lifecycle.starting import send_clock
from workflows.task_lifecycle.types import ClockState, NoticeKind, TaskClock
from workflows.task_lifecycle.workflow import TaskLifecycle
from workflows.worker import sandbox

Handle = WorkflowHandle[TaskLifecycle, None]


@asynccontextmanager
async def running(skipper: TimeSkipper, clock: TaskClock) -> AsyncIterator[tuple[Handle, TaskStandIn]]:
    """The task's clock on a worker of its own."""
    service = TaskStandIn(clock)
    queue = f"test-{uuid4()}"
    async with Worker(skipper.client, task_queue=queue, workflows=[TaskLifecycle], activities=[service.notice_task],
                      workflow_runner=sandbox()):  # fmt: skip
        with skipper.with_time_skipping_disabled():
            handle = await skipper.client.start_workflow(
                TaskLifecycle.run, ClockState(clock, ZONE), id=task_workflow(clock.task_id), task_queue=queue
            )
        yield handle, service
        if await status(handle) is WorkflowExecutionStatus.RUNNING:
            await handle.terminate()


async def status(handle: Handle) -> WorkflowExecutionStatus | None:
    return (await handle.describe()).status


async def overdue(handle: Handle) -> bool | None:
    return (await handle.describe()).typed_search_attributes.get(OVERDUE)


async def until(wanted: Callable[[], bool]) -> None:
    async def check() -> bool:
        return wanted()

    await eventually(check)


async def test_reminds_then_says_that_the_deadline_has_passed_and_stays(skipper: TimeSkipper) -> None:
    clock = a_task(remind=(timedelta(days=1), timedelta(hours=2)))
    async with running(skipper, clock) as (handle, service):
        await skipper.fast_forward(handle, timedelta(days=11, hours=1))
        assert service.rung() == [(NoticeKind.REMINDER, clock.reminders_at[0])]
        assert await overdue(handle) is False
        await skipper.fast_forward(handle, timedelta(days=2))
        assert service.rung() == [
            (NoticeKind.REMINDER, clock.reminders_at[0]),
            (NoticeKind.REMINDER, clock.reminders_at[1]),
            (NoticeKind.OVERDUE, clock.deadline_at),
        ]
        await eventually(lambda: overdue(handle))
        assert await status(handle) is WorkflowExecutionStatus.RUNNING
        await skipper.fast_forward(handle, timedelta(days=100))
        assert len(service.rings) == 3


async def test_a_postponement_moves_the_timers(skipper: TimeSkipper) -> None:
    clock = a_task(deadline=timedelta(days=3), remind=(timedelta(days=1),))
    async with running(skipper, clock) as (handle, service):
        later = clock.deadline_at + timedelta(days=10)
        service.row = replace(clock, deadline_at=later, reminders_at=[later - timedelta(days=1)], version=2)
        await handle.signal(TaskLifecycle.task_changed, service.row)
        await skipper.fast_forward(handle, timedelta(days=11))
        assert service.rings == []
        await skipper.fast_forward(handle, timedelta(days=3))
        assert service.rung() == [(NoticeKind.REMINDER, later - timedelta(days=1)), (NoticeKind.OVERDUE, later)]
        assert (await handle.describe()).typed_search_attributes.get(DUE_AT) == later


async def test_completion_ends_it(skipper: TimeSkipper) -> None:
    clock = a_task()
    async with running(skipper, clock) as (handle, service):
        await handle.signal(TaskLifecycle.task_changed, replace(clock, open=False, version=2))
        await handle.result()
        assert service.rings == []


async def test_completion_ends_it_when_it_is_overdue(skipper: TimeSkipper) -> None:
    clock = a_task(deadline=timedelta(days=1))
    async with running(skipper, clock) as (handle, service):
        await skipper.fast_forward(handle, timedelta(days=2))
        assert len(service.rings) == 1
        await handle.signal(TaskLifecycle.task_changed, replace(clock, open=False, version=2))
        await handle.result()


async def test_redelivered_and_older_facts_change_nothing(skipper: TimeSkipper) -> None:
    clock = replace(a_task(deadline=timedelta(days=3)), version=5)
    async with running(skipper, clock) as (handle, service):
        await handle.signal(TaskLifecycle.task_changed, clock)
        await handle.signal(TaskLifecycle.task_changed, replace(clock, open=False, version=4))
        earlier = replace(clock, deadline_at=clock.deadline_at - timedelta(days=2), version=3)
        await handle.signal(TaskLifecycle.task_changed, earlier)
        await skipper.fast_forward(handle, timedelta(days=2))
        assert service.rings == []
        assert await status(handle) is WorkflowExecutionStatus.RUNNING


async def test_a_ring_for_a_moved_deadline_takes_the_new_one(skipper: TimeSkipper) -> None:
    """The signal of the postponement was lost: the ring itself tells."""
    clock = a_task(deadline=timedelta(days=1))
    async with running(skipper, clock) as (handle, service):
        service.row = replace(clock, deadline_at=clock.deadline_at + timedelta(days=5), version=2)
        await skipper.fast_forward(handle, timedelta(days=2))
        assert service.rung() == [(NoticeKind.OVERDUE, clock.deadline_at)]
        assert await overdue(handle) is not True
        await skipper.fast_forward(handle, timedelta(days=5))
        assert service.rung()[1:] == [(NoticeKind.OVERDUE, service.row.deadline_at)]


async def test_a_ring_for_a_closed_task_ends_it(skipper: TimeSkipper) -> None:
    clock = a_task(deadline=timedelta(days=1))
    async with running(skipper, clock) as (handle, service):
        service.row = replace(clock, open=False, version=2)
        await skipper.fast_forward(handle, timedelta(days=2))
        await handle.result()


async def test_a_ring_for_a_task_that_is_no_more_ends_it(skipper: TimeSkipper) -> None:
    clock = a_task(deadline=timedelta(days=1))
    async with running(skipper, clock) as (handle, service):
        service.refusal = ApplicationError("no task", type="TASK_NOT_FOUND", non_retryable=True)
        await skipper.fast_forward(handle, timedelta(days=2))
        await handle.result()


async def test_after_an_outage_only_what_is_true_is_said(skipper: TimeSkipper) -> None:
    """All notices are in the past when the clock is armed: nobody is first reminded of a deadline that has passed."""
    clock = a_task(deadline=-timedelta(hours=1), remind=(timedelta(days=1), timedelta(hours=2)))
    async with running(skipper, clock) as (handle, service):
        await until(lambda: bool(service.rings))
        await skipper.fast_forward(handle, timedelta(days=1))
        assert service.rung() == [(NoticeKind.OVERDUE, clock.deadline_at)]


async def test_a_late_reminder_is_given(skipper: TimeSkipper) -> None:
    clock = a_task(deadline=timedelta(hours=10), remind=(timedelta(days=1), timedelta(hours=2)))
    async with running(skipper, clock) as (_, service):
        await until(lambda: bool(service.rings))
        assert service.rung() == [(NoticeKind.REMINDER, clock.reminders_at[0])]


async def test_a_recheck_rings_again_and_takes_even_an_older_row(skipper: TimeSkipper) -> None:
    """The database was restored from a backup: the row doesn't know that the deadline was noticed."""
    clock = replace(a_task(deadline=timedelta(days=1)), version=7)
    async with running(skipper, clock) as (handle, service):
        await skipper.fast_forward(handle, timedelta(days=2))
        assert len(service.rings) == 1
        service.row = replace(clock, version=4)
        await handle.signal(TaskLifecycle.recheck, service.row)
        await until(lambda: len(service.rings) == 2)


async def test_a_long_history_goes_on_in_a_new_run(short_histories: Client) -> None:
    clock = a_task(deadline=timedelta(hours=1))
    async with running(TimeSkipper(short_histories), clock) as (handle, _):
        first_run = (await handle.describe()).run_id
        for version in range(2, 20):
            later = replace(clock, deadline_at=clock.deadline_at + timedelta(days=version), version=version)
            await handle.signal(TaskLifecycle.task_changed, later)

        async def next_run() -> bool:
            description = await handle.describe()
            moved = description.typed_search_attributes.get(DUE_AT) == later.deadline_at
            return moved and description.run_id != first_run

        newest = short_histories.get_workflow_handle(handle.id)
        handle = newest
        await eventually(next_run)
        await newest.signal(TaskLifecycle.task_changed, replace(clock, open=False, version=99))
        await newest.result()


async def test_operators_read_when_it_is_due(skipper: TimeSkipper) -> None:
    clock = replace(a_task(), deadline_at=datetime(2036, 11, 25, 10, 0, tzinfo=UTC))
    async with running(skipper, clock) as (handle, _):
        details = await handle.query("__temporal_workflow_metadata")
        assert "2036-11-25 18:00 Asia/Shanghai" in str(details)


async def test_sending_twice_starts_once_and_a_closed_task_starts_nothing(temporal: Client) -> None:
    clock = a_task()
    handle = temporal.get_workflow_handle(task_workflow(clock.task_id))
    await asyncio.gather(*(send_clock(temporal, clock, ZONE) for _ in range(5)))
    description = await handle.describe()
    assert await description.static_summary() == "Task · renewal · ACME"
    assert description.typed_search_attributes.get(DUE_AT) == clock.deadline_at
    await handle.terminate()
    done = replace(a_task(), open=False)
    await send_clock(temporal, done, ZONE)
    with pytest.raises(Exception, match="not found"):
        await temporal.get_workflow_handle(task_workflow(done.task_id)).describe()
