"""Temporal's and NATS' data may be lost: clocks and processes come back from the rows, and nothing is told twice."""

import asyncio
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from kejing.tasks.v1 import process_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records
from tests.e2e.test_crash import EXPECTED_HISTORY, Script, publish_definition
from tests.support.eventually import eventually
from tests.support.persistence import PersistentClient, a_customer
from tests.support.stack import LocalStack, local_stack


async def test_every_clock_and_process_comes_back_when_temporal_and_nats_are_wiped() -> None:
    with local_stack() as stack:
        await asyncio.to_thread(stack.up)
        script = await a_script(stack)
        await publish_definition(script.client)
        await script.start_process()
        [process_id] = script.processes
        await script.push(process_id, 1)
        await script.complete(await script.create("done", in_seconds(3 * 86400)))
        far = await script.create("far", in_seconds(3 * 86400))
        told = await script.create("told before", in_seconds(6))
        await eventually(lambda: is_told(script, told.id), within=60)
        missed = await script.create("missed", in_seconds(6))
        await asyncio.to_thread(stack.down)

        shutil.rmtree(stack.home.path / "temporal")
        shutil.rmtree(stack.home.path / "nats" / "jetstream")
        # Its deadline passes while nothing runs.
        await asyncio.sleep(max(0.0, missed.deadline_at.seconds - datetime.now(UTC).timestamp()))
        await asyncio.to_thread(stack.up)

        temporal = await Client.connect(stack.address("temporal"))
        wanted = [f"process/{process_id}", *(f"task/{task.id}" for task in (far, told, missed))]

        async def all_run() -> bool:
            return all([await runs(temporal, workflow_id) for workflow_id in wanted])

        await eventually(all_run, within=60)
        await eventually(lambda: is_told(script, missed.id), within=60)
        for round_number in (2, 3, 4, 5, 6, 8):  # the process goes on to its end
            await script.push(process_id, round_number)
        asked = records.ListTransitionsRequest(process_id=process_id)
        history = (await script.client.ask(script.records.ListTransitions, asked)).transitions
        assert [(line.action, line.to_stage_key) for line in history] == EXPECTED_HISTORY
        got = records.GetProcessRequest(process_id=process_id)
        process = (await script.client.ask(script.records.GetProcess, got)).process
        assert process.state == process_pb2.PROCESS_STATE_COMPLETED
        assert await overdue_notices(script) == {told.id: 1, missed.id: 1}
        for task_id in script.done:
            assert not await runs(temporal, f"task/{task_id}")
        await script.client.close()


async def a_script(stack: LocalStack) -> Script:
    client = PersistentClient(stack.address, stack.home.command_key)
    return Script(client, await a_customer(client))


def in_seconds(seconds: float) -> datetime:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


async def overdue_notices(script: Script) -> Counter[str]:
    inbox: Any = script.client.stub(inbox_service_pb2_grpc.InboxServiceStub)
    items = (await script.client.ask(inbox.ListInbox, inbox_service_pb2.ListInboxRequest(page_size=500))).items
    return Counter(item.task_id for item in items if item.kind == inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE)


async def is_told(script: Script, task_id: str) -> bool:
    return task_id in await overdue_notices(script)


async def runs(temporal: Client, workflow_id: str) -> bool:
    try:
        found = await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return found.status is WorkflowExecutionStatus.RUNNING
