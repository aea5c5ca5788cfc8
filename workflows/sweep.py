"""The sweep: rows that should have a workflow and have none get one, and late clocks are looked after.

It covers what events can't: a lost stream, a restored database, a workflow that somebody ended by hand.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.client import Client
from temporalio.service import RPCError

from kejing.customers.v1 import imports_service_pb2
from kejing.health.v1 import alerts_service_pb2
from kejing.tasks.v1 import process_pb2, process_records_service_pb2, tasks_service_pb2
from services.shared.clock import Clock
from services.shared.logging import get_logger
from workflows.alert_fanout.starting import start_owed
from workflows.alert_fanout.types import FanoutOrder
from workflows.business_process.records import to_record
from workflows.business_process.starting import start_from_row
from workflows.business_process.types import ProcessRecord
from workflows.clients import Clients
from workflows.customer_import.starting import send_import
from workflows.names import process_workflow
from workflows.pace import Pace
from workflows.policies import BULK
from workflows.task_lifecycle.facts import to_clock
from workflows.task_lifecycle.starting import send_clock
from workflows.task_lifecycle.types import TaskClock

EVERY_SECONDS = 60.0
LATE = timedelta(seconds=60)
"""A notice that was due so long ago and was not given is somebody's fault: its clock is looked after."""
STUCK = timedelta(minutes=1)
"""An import that runs and did not get on for so long has no workflow, or one that was not told of something."""
OWED = timedelta(minutes=2)
"""A range that was evaluated so long ago should be alerted. Where its run or its fan-out just takes longer, nothing is
lost by asking: a fan-out that runs is left alone, and one that came early is not repeated."""
PAGE = 500
RUNNING = "WorkflowType = 'BusinessProcess' AND ExecutionStatus = 'Running'"


async def run_sweep(temporal: Client, clients: Clients, zone: str, clock: Clock) -> None:
    """Sweeps every minute until cancelled; an outage is waited out."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await wake_late_clocks(temporal, clients, zone, clock())
            await start_missing_processes(temporal, clients, zone)
            await start_owed_alerts(temporal, clients, clock())
            await start_stuck_imports(temporal, clients, clock())
        except (RPCError, grpc.aio.AioRpcError) as error:
            get_logger().warning("sweep waits", error=f"{type(error).__name__}: {error}"[:300])


async def wake_late_clocks(temporal: Client, clients: Clients, zone: str, now: datetime) -> int:
    """Starts or wakes the clock of every open task with a notice that was due a minute ago; answers how many."""
    count = 0
    async for late in open_tasks(clients, unnoticed_before=now - LATE):
        await send_clock(temporal, late, zone, signal="recheck", priority=BULK)
        count += 1
    if count:
        get_logger().warning("clocks were late", count=count)
    return count


async def start_missing_processes(temporal: Client, clients: Clients, zone: str) -> int:
    """Starts the workflow of every open process that has none; answers how many."""
    running = {workflow.id async for workflow in temporal.list_workflows(RUNNING, page_size=1000)}
    count = 0
    async for record in open_processes(clients):
        if process_workflow(record.id) not in running:
            await start_from_row(temporal, record, zone)
            count += 1
    if count:
        get_logger().warning("processes had no workflow", count=count)
    return count


async def start_owed_alerts(temporal: Client, clients: Clients, now: datetime) -> int:
    """Starts the fan-out of every range that still owes alerts, unless it runs; answers how many ranges owe some."""
    count = 0
    async for order in owed_alerts(clients, done_before=now - OWED):
        await start_owed(temporal, order)
        count += 1
    if count:
        get_logger().warning("alerts were owed", ranges=count)
    return count


async def start_stuck_imports(temporal: Client, clients: Clients, now: datetime) -> int:
    """Starts or wakes the workflow of every running import that did not get on for a minute; answers how many."""
    count = 0
    async for import_id in running_imports(clients, unmoved_since=now - STUCK):
        await send_import(temporal, import_id, running=True)
        count += 1
    if count:
        get_logger().warning("imports were stuck", count=count)
    return count


async def send_all(temporal: Client, clients: Clients, zone: str, pace: Pace) -> tuple[int, int]:
    """Starts the workflow of every open task, process and import that has none; answers how many tasks and processes
    there are."""
    tasks = processes = 0
    async for import_id in running_imports(clients):
        await pace.turn()
        await send_import(temporal, import_id, running=True)
    async for record in open_processes(clients):
        await pace.turn()
        await start_from_row(temporal, record, zone, BULK)
        processes += 1
    async for clock in open_tasks(clients):
        await pace.turn()
        await send_clock(temporal, clock, zone, priority=BULK)
        tasks += 1
    return tasks, processes


async def open_tasks(clients: Clients, unnoticed_before: datetime | None = None) -> AsyncIterator[TaskClock]:
    """All open tasks, or those with a notice that was due before the instant and not given."""
    request = tasks_service_pb2.ListOpenTaskFactsRequest(page_size=PAGE)
    if unnoticed_before is not None:
        before = Timestamp()
        before.FromDatetime(unnoticed_before)
        request.unnoticed_before.CopyFrom(before)
    while True:
        page = await clients.tasks.ListOpenTaskFacts(request)
        for facts in page.tasks:
            yield to_clock(facts)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def open_processes(clients: Clients) -> AsyncIterator[ProcessRecord]:
    """All running and paused processes."""
    request = process_records_service_pb2.ListProcessesRequest(
        states=[process_pb2.PROCESS_STATE_RUNNING, process_pb2.PROCESS_STATE_PAUSED], page_size=PAGE
    )
    while True:
        page = await clients.process_records.ListProcesses(request)
        for process in page.processes:
            yield to_record(process)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def owed_alerts(clients: Clients, done_before: datetime) -> AsyncIterator[FanoutOrder]:
    """All ranges that were evaluated before the instant and whose alerts are not all delivered."""
    before = Timestamp()
    before.FromDatetime(done_before)
    request = alerts_service_pb2.ListUnalertedRangesRequest(done_before=before, page_size=PAGE)
    while True:
        page = await clients.alerts.ListUnalertedRanges(request)
        for owed in page.ranges:
            yield FanoutOrder(owed.run_id, owed.range, owed.week)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def running_imports(clients: Clients, unmoved_since: datetime | None = None) -> AsyncIterator[str]:
    """Ids of all imports that are to get on, or of those that did not since the instant."""
    request = imports_service_pb2.ListImportsRequest(states=[imports_service_pb2.IMPORT_STATE_RUNNING], page_size=PAGE)
    while True:
        page = await clients.imports.ListImports(request)
        for one in page.imports:
            if unmoved_since is None or one.updated_at.ToDatetime(UTC) < unmoved_since:
                yield one.id
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
