"""From the commit of CreateTask to its open TaskLifecycle, beside a bare start on the same, settled Temporal server.

Ours is taken from the commit of the task's row, by Postgres' own record, to the moment at which Temporal has confirmed
the start, by the line that the trigger logs then. A bare start is taken from the call to its answer.
"""

import asyncio
import json
from datetime import datetime

from temporalio.worker import Worker

from tests.benchmarks.bare_workflows import BareClock
from tests.benchmarks.measure import latency_rows, print_table, timed
from tests.benchmarks.world import World
from tests.support.eventually import eventually

COUNT = 200
INTERVAL_SECONDS = 0.05


async def run(world: World) -> None:
    async with Worker(world.temporal, task_queue="bench", workflows=[BareClock]):
        tasks: list[str] = []
        bare: list[float] = []
        for number in range(COUNT):
            if number % 2:
                tasks.append((await world.create_task()).id)
            else:
                bare.append(await timed(lambda name=f"bench/{number}": start(world, name)))  # type: ignore[misc]
            await asyncio.sleep(INTERVAL_SECONDS)
        commits = world.committed_at(tasks)

        async def all_confirmed() -> dict[str, datetime]:
            found = confirmed_at(world)
            return found if found.keys() >= commits.keys() else {}

        opened = await eventually(all_confirmed)
        ours = [(opened[task] - commits[task]).total_seconds() * 1000 for task in tasks]
        for number in range(0, COUNT, 2):
            await world.temporal.get_workflow_handle(f"bench/{number}").terminate()
    title = "CreateTask → TaskLifecycle open, 20 a second (ratio at most 3 at p50, 4 at p99)"
    rows = latency_rows(ours, bare, ("CreateTask → open", "bare start"))
    print_table(title, rows[0], rows[1:])


async def start(world: World, name: str) -> None:
    await world.temporal.start_workflow(BareClock.run, id=name, task_queue="bench")


def confirmed_at(world: World) -> dict[str, datetime]:
    """When each task's clock was confirmed for the first time (UTC), by task id."""
    found: dict[str, datetime] = {}
    for line in world.stack.home.log("processes").read_text().splitlines():
        if '"event taken"' in line:
            entry = json.loads(line)
            found.setdefault(entry["about"], datetime.fromisoformat(entry["timestamp"]))
    return found
