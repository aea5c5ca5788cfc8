"""A business process: orders take effect once and one at a time, and the row is the truth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from tests.support.eventually import eventually
from tests.workflows.stand_ins import ZONE, ProcessStandIn, a_process, an_order
from workflows.business_process.types import (
    Action,
    ProcessInput,
    ProcessRecord,
    StartOrder,
    State,
    TaskClosed,
)
from workflows.business_process.workflow import BusinessProcess
from workflows.names import DUE_AT, OVERDUE, STAGE, process_workflow
from workflows.worker import sandbox

Handle = WorkflowHandle[BusinessProcess, None]


@asynccontextmanager
async def running(
    client: Client, row: ProcessRecord, skipper: TimeSkipper | None = None
) -> AsyncIterator[tuple[Handle, ProcessStandIn]]:
    """A running process on a worker of its own, started from its row."""
    async with worker(client, ProcessStandIn(row)) as (queue, service):
        handle = await client.start_workflow(
            BusinessProcess.run, ProcessInput(row.id, ZONE, load=True), id=process_workflow(row.id), task_queue=queue
        )
        try:
            yield handle, service
        finally:
            if (await handle.describe()).status == 1:
                await handle.terminate()


@asynccontextmanager
async def worker(client: Client, service: ProcessStandIn) -> AsyncIterator[tuple[str, ProcessStandIn]]:
    queue = f"test-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[BusinessProcess], activities=service.activities,
                      workflow_runner=sandbox()):  # fmt: skip
        yield queue, service


async def refused(update: Any) -> ApplicationError:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await update
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


async def test_it_goes_through_its_stages_and_ends(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, _):
        assert (await handle.execute_update(BusinessProcess.advance, an_order())).stage_key == "s1"
        assert (await handle.execute_update(BusinessProcess.advance, an_order())).stage_key == "s2"
        assert (await handle.execute_update(BusinessProcess.return_to, an_order(to="s0"))).stage_key == "s0"
        for _ in range(3):
            await handle.execute_update(BusinessProcess.advance, an_order())
        assert (await handle.execute_update(BusinessProcess.advance, an_order())).state is State.COMPLETED
        await handle.result()


async def test_it_is_started_by_its_first_update(temporal: Client) -> None:
    process_id = str(uuid4())
    async with worker(temporal, ProcessStandIn()) as (queue, _):
        records = await asyncio.gather(*(start(temporal, queue, process_id) for _ in range(3)))
        assert {record.id for record in records} == {process_id}
        handle = temporal.get_workflow_handle(process_workflow(process_id))
        await handle.execute_update(BusinessProcess.terminate, an_order())
        await handle.result()


async def test_a_start_that_is_refused_leaves_no_workflow(temporal: Client) -> None:
    process_id = str(uuid4())
    async with worker(temporal, ProcessStandIn()) as (queue, _):
        refusal = await refused(start(temporal, queue, process_id, definition="unknown"))
        assert refusal.type == "PROCESS_DEFINITION_NOT_FOUND"
        assert refusal.details[0] == b"status"
        await temporal.get_workflow_handle(process_workflow(process_id)).result()


async def start(client: Client, queue: str, process_id: str, definition: str = "delivery") -> ProcessRecord:
    starting: WithStartWorkflowOperation[BusinessProcess, None] = WithStartWorkflowOperation(
        BusinessProcess.run, ProcessInput(process_id, ZONE), id=process_workflow(process_id), task_queue=queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )  # fmt: skip
    begun = StartOrder(str(uuid4()), definition, str(uuid4()), "", datetime.now(UTC) + timedelta(seconds=60))
    return await client.execute_update_with_start_workflow(
        BusinessProcess.start, begun, start_workflow_operation=starting
    )


async def test_a_refusal_carries_what_the_service_said(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, service):
        service.open_tasks = True
        refusal = await refused(handle.execute_update(BusinessProcess.advance, an_order("same")))
        assert (refusal.type, refusal.details[0]) == ("REQUIRED_TASKS_OPEN", b"the status with the task")
        service.open_tasks = False  # refusals are not remembered
        assert (await handle.execute_update(BusinessProcess.advance, an_order("same"))).stage_key == "s1"


@pytest.mark.parametrize(
    ("update", "given", "reason"),
    [
        (BusinessProcess.advance, {"to": "s9"}, "STAGE_NOT_FOUND"),
        (BusinessProcess.advance, {"to": "s0"}, "STAGE_ORDER"),
        (BusinessProcess.advance, {"to": "s3"}, "SKIPPING_NOT_ALLOWED"),
        (BusinessProcess.return_to, {"to": "s2"}, "STAGE_ORDER"),
        (BusinessProcess.resume, {}, "PROCESS_STATE"),
        (BusinessProcess.advance, {"life": -1}, "ORDER_EXPIRED"),
    ],
)
async def test_wrong_orders_are_refused_at_once(
    temporal: Client, update: Any, given: dict[str, Any], reason: str
) -> None:
    async with running(temporal, a_process()) as (handle, service):
        assert (await refused(handle.execute_update(update, an_order(**given)))).type == reason
        assert service.asked == []


async def test_orders_at_the_same_time_go_one_after_the_other(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, service):
        orders = [an_order(to="s1"), an_order(to="s1"), an_order(to="s1")]
        results = await asyncio.gather(
            *(handle.execute_update(BusinessProcess.advance, one) for one in orders), return_exceptions=True
        )
        assert len([r for r in results if isinstance(r, ProcessRecord)]) == 1
        assert len(service.recorded) == 1


async def test_a_repeated_order_takes_effect_once(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, service):
        answers = await asyncio.gather(
            *(handle.execute_update(BusinessProcess.advance, an_order("a")) for _ in range(3))
        )
        assert {answer.stage_key for answer in answers} == {"s1"}
        assert len(service.recorded) == 1
        refusal = await refused(handle.execute_update(BusinessProcess.advance, an_order("a", fingerprint="other")))
        assert (refusal.type, refusal.details[0]) == ("REQUEST_ID_REUSED", "ALREADY_EXISTS")


async def test_a_repeated_order_takes_effect_once_in_the_next_run(short_histories: Client) -> None:
    async with running(short_histories, a_process()) as (handle, service):
        await handle.execute_update(BusinessProcess.advance, an_order("a"))
        first_run = (await handle.describe()).run_id
        for n in range(8):  # enough events for a new run
            update = BusinessProcess.resume if n % 2 else BusinessProcess.pause
            await handle.execute_update(update, an_order())

        async def next_run() -> bool:
            return (await handle.describe()).run_id != first_run

        await eventually(next_run)
        made = len(service.asked)
        assert (await handle.execute_update(BusinessProcess.advance, an_order("a"))).stage_key == "s1"
        assert len(service.asked) == made
        assert (await refused(handle.execute_update(BusinessProcess.advance, an_order("a", fingerprint="x")))).type


async def test_it_moves_on_by_itself_once(temporal: Client) -> None:
    async with running(temporal, a_process(stage_key="s1")) as (handle, service):
        service.open_tasks = True
        await handle.signal(BusinessProcess.task_closed, TaskClosed("t1", "s1", 2))
        assert (await refused(handle.execute_update(BusinessProcess.advance, an_order()))).type == "REQUIRED_TASKS_OPEN"
        service.open_tasks = False
        await handle.signal(BusinessProcess.task_closed, TaskClosed("t2", "s1", 2))
        await handle.signal(BusinessProcess.task_closed, TaskClosed("t2", "s1", 2))

        async def in_next() -> bool:
            return service.row is not None and service.row.stage_key == "s2"

        await eventually(in_next)
        await handle.signal(BusinessProcess.task_closed, TaskClosed("t2", "s1", 2))
        assert (await handle.execute_update(BusinessProcess.pause, an_order())).stage_key == "s2"
        assert [t.action for t in service.recorded] == [Action.ADVANCE, Action.PAUSE]
        assert service.recorded[0].action_id.startswith("auto/")


async def test_what_is_done_in_a_stage_before_it_knows_that_it_is_there_counts(temporal: Client) -> None:
    """The row enters a stage, its tasks are done, and only then does the answer of the transition arrive."""
    async with running(temporal, a_process()) as (handle, service):

        async def done_at_once() -> None:
            service.before_answering = None
            await handle.signal(BusinessProcess.task_closed, TaskClosed("t1", "s1", 2))

        service.before_answering = done_at_once
        await handle.execute_update(BusinessProcess.advance, an_order())

        async def in_next() -> bool:
            return service.row is not None and service.row.stage_key == "s2"

        await eventually(in_next)
        assert [t.action_id.split("/")[0] for t in service.recorded][1:] == ["auto"]


async def test_what_is_done_while_it_is_paused_counts_once_on_resume(temporal: Client) -> None:
    async with running(temporal, a_process(stage_key="s1")) as (handle, service):
        service.some_done = False
        await handle.execute_update(BusinessProcess.pause, an_order())
        service.some_done = True
        await handle.signal(BusinessProcess.task_closed, TaskClosed("t1", "s1", 2))
        assert (await refused(handle.execute_update(BusinessProcess.advance, an_order()))).type == "PROCESS_STATE"
        assert service.row is not None
        assert service.row.stage_key == "s1"
        await handle.execute_update(BusinessProcess.resume, an_order())

        async def in_next() -> bool:
            return service.row is not None and service.row.stage_key == "s2"

        await eventually(in_next)
        assert [t.action for t in service.recorded] == [Action.PAUSE, Action.RESUME, Action.ADVANCE]


async def test_a_newer_row_is_taken_and_the_order_made_on_it(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, service):
        await handle.execute_update(BusinessProcess.pause, an_order())
        await handle.execute_update(BusinessProcess.resume, an_order())
        assert service.row is not None
        service.row = replace(service.row, stage_key="s2", revision=9)
        assert (await handle.execute_update(BusinessProcess.advance, an_order())).stage_key == "s3"
        assert [t.expected_revision for t in service.asked] == [1, 2, 3, 9]


async def test_an_order_that_the_newer_row_forbids_is_refused(temporal: Client) -> None:
    async with running(temporal, a_process()) as (handle, service):
        await handle.execute_update(BusinessProcess.advance, an_order())
        assert service.row is not None
        service.row = replace(service.row, state=State.PAUSED, revision=9)
        refusal = await refused(handle.execute_update(BusinessProcess.advance, an_order()))
        assert (refusal.type, refusal.details[1]) == ("PROCESS_STATE", 9)
        service.row = replace(service.row, state=State.RUNNING, revision=10)
        await handle.signal(BusinessProcess.row_moved, service.row)
        assert (await handle.execute_update(BusinessProcess.advance, an_order())).revision == 11


async def test_an_overdue_stage_shows(skipper: TimeSkipper) -> None:
    due_at = (datetime.now(UTC) + timedelta(days=12)).replace(microsecond=0)
    row = a_process(stage_due_at=due_at)
    with skipper.with_time_skipping_disabled():
        async with running(skipper.client, row) as (handle, _):
            await skipper.fast_forward(handle, timedelta(days=11))
            attributes = (await handle.describe()).typed_search_attributes
            assert (attributes.get(STAGE), attributes.get(DUE_AT), attributes.get(OVERDUE)) == ("s0", due_at, False)
            await skipper.fast_forward(handle, timedelta(days=2))

            async def overdue() -> bool | None:
                return (await handle.describe()).typed_search_attributes.get(OVERDUE)

            await eventually(overdue)
            metadata = str(await handle.query("__temporal_workflow_metadata"))
            assert "阶段0" in metadata or "\\u9636" in metadata or "\\351" in metadata


async def test_without_a_row_it_ends(temporal: Client) -> None:
    process_id = str(uuid4())
    async with worker(temporal, ProcessStandIn()) as (queue, _):
        handle = await temporal.start_workflow(
            BusinessProcess.run, ProcessInput(process_id, ZONE, load=True), id=process_workflow(process_id),
            task_queue=queue,
        )  # fmt: skip
        await handle.result()
