"""CustomerImport: step after step until the import has ended; it rests while it is paused, and misses no order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from tests.support.eventually import eventually
from workflows import customer_import
from workflows.customer_import.display import details
from workflows.customer_import.starting import send_import
from workflows.customer_import.types import ENDED, State, Step
from workflows.customer_import.workflow import CustomerImport
from workflows.names import TaskQueue, import_workflow
from workflows.worker import sandbox

ROWS = 1000
BEGUN = Step(State.RUNNING, "CUSTOMERS", "crm", 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


class ImportStandIn:
    """The customers service's side of one import: a step reads 1,000 rows, of which it rejects one.

    `before_answering` is called after a step was done and before its answer leaves.
    """

    def __init__(self, steps: int) -> None:
        self.row = replace(BEGUN, size=steps * ROWS * 100)
        self.asked = 0
        self.fails_at: set[int] = set()
        self.refusal: ApplicationError | None = None
        self.before_answering: Callable[[], Awaitable[None]] | None = None

    @activity.defn
    async def advance_import(self, import_id: str) -> Step:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        if self.asked in self.fails_at:
            raise ApplicationError("the service is away", type="UNAVAILABLE")
        if self.row.state is State.RUNNING:
            read = self.row.bytes_read + ROWS * 100
            self.row = replace(
                self.row,
                bytes_read=read,
                rows_read=self.row.rows_read + ROWS,
                created=self.row.created + ROWS - 1,
                rejected=self.row.rejected + 1,
                worked_seconds=self.row.worked_seconds + 0.5,
                state=State.DONE if read >= self.row.size else State.RUNNING,
            )
        answer = self.row
        if self.before_answering is not None:
            await self.before_answering()
        return answer

    def become(self, state: State) -> None:
        """What PauseImport, ResumeImport and CancelImport do to the row."""
        if self.row.state not in ENDED:
            self.row = replace(self.row, state=state)


@asynccontextmanager
async def running(client: Client, steps: int) -> AsyncIterator[ImportStandIn]:
    """A worker with a customers service of its own."""
    service = ImportStandIn(steps)
    async with Worker(
        client,
        task_queue=TaskQueue.IMPORTS,
        workflows=customer_import.WORKFLOWS,
        activities=[service.advance_import],
        workflow_runner=sandbox(),
    ):
        yield service


async def begun(client: Client) -> WorkflowHandle[Any, Step]:
    import_id = str(uuid4())
    await send_import(client, import_id, running=True)
    return client.get_workflow_handle_for(CustomerImport.run, import_workflow(import_id))


def id_of(handle: WorkflowHandle[Any, Any]) -> str:
    return handle.id.removeprefix("import/")


async def test_it_gets_on_until_the_import_is_done_through_failing_steps(temporal: Client) -> None:
    async with running(temporal, steps=5) as service:
        service.fails_at = {2}
        handle = await begun(temporal)
        done = await handle.result()
        assert (done.state, done.rows_read, done.created, done.rejected) == (State.DONE, 5000, 4995, 5)
        assert service.asked == 6


async def test_it_rests_while_the_import_is_paused_and_goes_on_when_told(temporal: Client) -> None:
    async with running(temporal, steps=3) as service:
        service.become(State.PAUSED)
        handle = await begun(temporal)

        async def rests() -> bool:
            return "paused, 0 %" in str(await handle.query("__temporal_workflow_metadata"))

        await eventually(rests)
        assert service.asked == 1
        service.become(State.RUNNING)
        await send_import(temporal, id_of(handle), running=True)
        assert (await handle.result()).state is State.DONE


async def test_an_order_that_comes_while_a_step_runs_is_not_missed(temporal: Client) -> None:
    """Paused and resumed within one step, whose answer still says: paused."""
    async with running(temporal, steps=3) as service:
        service.become(State.PAUSED)
        handle = await begun(temporal)

        async def resume() -> None:
            service.before_answering = None
            service.become(State.RUNNING)
            await send_import(temporal, id_of(handle), running=True)

        service.before_answering = resume
        assert (await asyncio.wait_for(handle.result(), 20)).state is State.DONE


async def test_a_cancelled_import_ends(temporal: Client) -> None:
    async with running(temporal, steps=1000) as service:
        service.become(State.PAUSED)
        handle = await begun(temporal)

        async def asked() -> bool:
            return service.asked >= 1

        await eventually(asked)
        service.become(State.CANCELLED)
        await send_import(temporal, id_of(handle), running=False)
        assert (await handle.result()).state is State.CANCELLED


async def test_a_pause_of_an_import_without_workflow_starts_none(temporal: Client) -> None:
    import_id = str(uuid4())
    await send_import(temporal, import_id, running=False)
    found = [one async for one in temporal.list_workflows(f'WorkflowId = "{import_workflow(import_id)}"')]
    assert found == []


async def test_a_late_order_to_an_import_that_has_ended_changes_nothing(temporal: Client) -> None:
    async with running(temporal, steps=1) as service:
        handle = await begun(temporal)
        await handle.result()
        await send_import(temporal, id_of(handle), running=True)
        assert (await handle.result()).state is State.DONE
        assert service.asked <= 2


async def test_an_import_that_nobody_knows_ends_as_failed(temporal: Client) -> None:
    async with running(temporal, steps=1) as service:
        service.refusal = ApplicationError("no such import", type="IMPORT_NOT_FOUND", non_retryable=True)
        handle = await begun(temporal)
        with pytest.raises(WorkflowFailureError):
            await handle.result()


async def test_a_long_import_goes_on_with_a_fresh_history(short_histories: Client) -> None:
    async with running(short_histories, steps=12):
        handle = await begun(short_histories)
        assert (await handle.result()).rows_read == 12_000
        first, last = handle.first_execution_run_id, (await handle.describe()).run_id
        assert first != last


def test_operators_read_how_far_it_is() -> None:
    half = replace(BEGUN, size=1000, bytes_read=505, rows_read=5000, created=4000, updated=500, unchanged=400,
                   superseded=1, rejected=99, worked_seconds=2.0)  # fmt: skip
    assert details(half) == (
        "**Customers from crm**: running, 25 %\n\n"
        "- rows read: 5,000\n"
        "- written: 4,500 (4,000 new), said what was known: 400\n"
        "- rejected: 99, replaced by a later row: 1\n"
        "- at work for 2 s, 2,500 rows/s\n"
    )
    assert "running, 96 %" in details(replace(half, bytes_read=1000, rows_read=5000, unchanged=0))
    assert details(replace(half, state=State.DONE)).startswith("**Customers from crm**: done\n")
