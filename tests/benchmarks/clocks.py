"""From the commit of CreateTask to its open TaskLifecycle, beside a bare start on the same, settled Temporal server.

Ours is taken from the commit of the task's row, by Postgres' own record, theirs from the call of start_workflow; both
to the start time that the server gives the workflow.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from tests.benchmarks.bare_workflows import BareClock
from tests.benchmarks.measure import latency_rows, print_table
from tests.benchmarks.world import World
from tests.support.eventually import eventually

COUNT = 200
INTERVAL_SECONDS = 0.05


async def run(world: World) -> None:
    async with Worker(world.temporal, task_queue="bench", workflows=[BareClock]):
        bare, ours = [], []
        for number in range(COUNT):
            if number % 2:
                ours.append(await commit_to_open(world))
            else:
                bare.append(await bare_start(world, number))
            await asyncio.sleep(INTERVAL_SECONDS)
        for number in range(0, COUNT, 2):
            await world.temporal.get_workflow_handle(f"bench/{number}").terminate()
    title = "CreateTask → TaskLifecycle open, 20 a second (ratio at most 3 at p50, 4 at p99)"
    rows = latency_rows(ours, bare, ("CreateTask → open", "bare start"))
    print_table(title, rows[0], rows[1:])


async def commit_to_open(world: World) -> float:
    """Milliseconds."""
    task = await world.create_task()
    handle = world.temporal.get_workflow_handle(f"task/{task.id}")

    async def opened() -> datetime | None:
        return await start_time(handle)

    started = await eventually(opened)
    assert started is not None
    return (started - world.committed_at(task.id)).total_seconds() * 1000


async def bare_start(world: World, number: int) -> float:
    """Milliseconds."""
    before = datetime.now(UTC)
    handle = await world.temporal.start_workflow(BareClock.run, id=f"bench/{number}", task_queue="bench")
    started = await start_time(handle)
    assert started is not None
    return (started - before).total_seconds() * 1000


async def start_time(handle: WorkflowHandle[Any, Any]) -> datetime | None:
    try:
        return (await handle.describe()).start_time
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
