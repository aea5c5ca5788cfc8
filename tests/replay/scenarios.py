"""What is recorded of each workflow: one scenario a path that running ones may be on when a new release comes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy

from tests.support.eventually import eventually
from tests.workflows.stand_ins import ZONE, ProcessStandIn, TaskStandIn, a_process, a_task, an_order
from tests.workflows.test_customer_import import ImportStandIn
from tests.workflows.test_customers_day import DaysStandIn
from tests.workflows.test_health_evaluation import HealthStandIn
from workflows.alert_fanout.types import FanoutOrder
from workflows.alert_fanout.workflow import AlertFanout
from workflows.business_process.types import ProcessInput, StartOrder, TaskClosed
from workflows.business_process.workflow import BusinessProcess
from workflows.customer_import.types import ImportOrder, State
from workflows.customer_import.workflow import CustomerImport
from workflows.customers_day.types import DayOrder
from workflows.customers_day.workflow import CustomersDay, CustomersDayTick
from workflows.health_evaluation.types import EvaluationOrder
from workflows.health_evaluation.workflow import HealthEvaluation, HealthTick
from workflows.names import (
    OVERDUE,
    alerts_workflow,
    customers_day_workflow,
    health_workflow,
    import_workflow,
    process_workflow,
    task_workflow,
)
from workflows.task_lifecycle.types import ClockState, NoticeKind
from workflows.task_lifecycle.workflow import TaskLifecycle

Play = Callable[[Client, str, Any], Awaitable[WorkflowHandle[Any, Any]]]
"""Takes the client, the task queue and the stand-in for the services; answers the workflow to record."""


@dataclass(frozen=True)
class Scenario:
    """`activities` are what `stand_in` offers."""

    workflow: type
    stand_in: Any
    activities: list[Callable[..., Any]]
    play: Play

    @property
    def name(self) -> str:
        return self.play.__name__


def scenarios() -> list[Scenario]:
    found = []
    play: Play
    workflow: type
    for play in (task_reminded_and_overdue, task_postponed_and_completed, task_moved_at_the_ring, task_rechecked):
        clock = TaskStandIn(a_task())
        found.append(Scenario(TaskLifecycle, clock, [clock.notice_task], play))
    for play in (process_moving_on_by_itself, process_held_and_given_up, process_refused, process_from_its_row,
                 process_behind_its_row, process_overdue):  # fmt: skip
        process = ProcessStandIn(a_process())
        found.append(Scenario(BusinessProcess, process, process.activities, play))
    new = ProcessStandIn()
    found.append(Scenario(BusinessProcess, new, new.activities, process_through_its_stages))
    for workflow, play in ((HealthTick, tick_over_weeks), (HealthEvaluation, evaluation_with_alerts),
                           (AlertFanout, alerts_marked_at_the_end)):  # fmt: skip
        health = HealthStandIn(["2026-W40", "2026-W41"], ranges=3)
        found.append(Scenario(workflow, health, health.activities, play))
    for play in (import_to_its_end, import_paused_and_resumed):
        brought = ImportStandIn(steps=4)
        found.append(Scenario(CustomerImport, brought, [brought.advance_import], play))
    for workflow, play in ((CustomersDayTick, tick_over_days), (CustomersDay, day_in_steps)):
        days = DaysStandIn(["2026-11-20", "2026-11-21"], steps=2)
        found.append(Scenario(workflow, days, days.activities, play))
    return found


# --- TaskLifecycle


async def clock_of(client: Client, queue: str, service: TaskStandIn) -> WorkflowHandle[TaskLifecycle, None]:
    # The deadline is near from now on, however long the scenarios before took.
    deadline_at = datetime.now(UTC) + timedelta(seconds=2)
    service.row = replace(
        service.row, deadline_at=deadline_at, reminders_at=[deadline_at - timedelta(seconds=1)], version=1
    )
    state = ClockState(service.row, ZONE)
    return await client.start_workflow(
        TaskLifecycle.run, state, id=task_workflow(service.row.task_id), task_queue=queue
    )


async def task_reminded_and_overdue(client: Client, queue: str, service: TaskStandIn) -> WorkflowHandle[Any, Any]:
    handle = await clock_of(client, queue, service)
    await overdue(service, 1)
    return handle


async def task_postponed_and_completed(client: Client, queue: str, service: TaskStandIn) -> WorkflowHandle[Any, Any]:
    handle = await clock_of(client, queue, service)
    await overdue(service, 1)
    later = service.row.deadline_at + timedelta(days=3)
    service.row = replace(service.row, deadline_at=later, reminders_at=[later - timedelta(days=1)], version=2)
    await handle.signal(TaskLifecycle.task_changed, service.row)
    await handle.signal(TaskLifecycle.task_changed, replace(service.row, open=False, version=3))
    await handle.result()
    return handle


async def task_moved_at_the_ring(client: Client, queue: str, service: TaskStandIn) -> WorkflowHandle[Any, Any]:
    handle = await clock_of(client, queue, service)
    service.row = replace(service.row, deadline_at=service.row.deadline_at + timedelta(days=3), version=2)
    await eventually(lambda: rung(service))
    service.row = replace(service.row, open=False, version=3)
    await handle.signal(TaskLifecycle.task_changed, service.row)
    await handle.result()
    return handle


async def task_rechecked(client: Client, queue: str, service: TaskStandIn) -> WorkflowHandle[Any, Any]:
    handle = await clock_of(client, queue, service)
    await overdue(service, 1)
    await handle.signal(TaskLifecycle.recheck, service.row)
    await overdue(service, 2)
    return handle


async def rung(service: TaskStandIn) -> bool:
    return bool(service.rings)


async def overdue(service: TaskStandIn, count: int) -> None:
    async def overdue_rings() -> bool:
        return len([ring for ring in service.rings if ring.kind is NoticeKind.OVERDUE]) >= count

    await eventually(overdue_rings)


# --- BusinessProcess


async def process_through_its_stages(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    process_id = str(uuid4())
    starting: WithStartWorkflowOperation[BusinessProcess, None] = WithStartWorkflowOperation(
        BusinessProcess.run, ProcessInput(process_id, ZONE), id=process_workflow(process_id), task_queue=queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )  # fmt: skip
    begun = StartOrder(str(uuid4()), "delivery", str(uuid4()), "", datetime.now(UTC) + timedelta(seconds=60))
    await client.execute_update_with_start_workflow(BusinessProcess.start, begun, start_workflow_operation=starting)
    handle = await starting.workflow_handle()
    await handle.execute_update(BusinessProcess.advance, an_order())
    await handle.execute_update(BusinessProcess.advance, an_order("again"))
    await handle.execute_update(BusinessProcess.return_to, an_order(to="s0"))
    await handle.execute_update(BusinessProcess.advance, an_order("again"))
    for _ in range(4):
        await handle.execute_update(BusinessProcess.advance, an_order())
    await handle.result()
    return handle


async def of_row(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[BusinessProcess, None]:
    assert service.row is not None
    start = ProcessInput(service.row.id, ZONE, load=True)
    return await client.start_workflow(
        BusinessProcess.run, start, id=process_workflow(service.row.id), task_queue=queue
    )


async def process_moving_on_by_itself(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    handle = await of_row(client, queue, service)
    service.some_done = False
    await handle.execute_update(BusinessProcess.advance, an_order())
    await handle.execute_update(BusinessProcess.pause, an_order())
    service.some_done = True
    await handle.signal(BusinessProcess.task_closed, TaskClosed("t1", "s1", 2))
    await handle.execute_update(BusinessProcess.resume, an_order())

    async def moved_on() -> bool:
        return service.row is not None and service.row.stage_key == "s2"

    await eventually(moved_on)
    await handle.execute_update(BusinessProcess.pause, an_order())
    return handle


async def process_held_and_given_up(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    handle = await of_row(client, queue, service)
    await handle.execute_update(BusinessProcess.pause, an_order())
    await handle.execute_update(BusinessProcess.terminate, an_order())
    await handle.result()
    return handle


async def process_refused(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    handle = await of_row(client, queue, service)
    service.open_tasks = True
    for given in (an_order(), an_order(to="s3"), an_order(life=-1)):
        try:
            await handle.execute_update(BusinessProcess.advance, given)
        except WorkflowUpdateFailedError:
            continue
    return handle


async def process_from_its_row(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    assert service.row is not None
    service.row = replace(service.row, stage_key="s1")  # a stage that its completed tasks leave
    handle = await of_row(client, queue, service)

    async def moved_on() -> bool:
        return service.row is not None and service.row.stage_key == "s2"

    await eventually(moved_on)
    await handle.execute_update(BusinessProcess.pause, an_order())
    return handle


async def process_behind_its_row(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    handle = await of_row(client, queue, service)
    await handle.execute_update(BusinessProcess.pause, an_order())
    await handle.execute_update(BusinessProcess.resume, an_order())
    assert service.row is not None
    service.row = replace(service.row, stage_key="s2", revision=9)
    await handle.execute_update(BusinessProcess.advance, an_order())
    service.row = replace(service.row, stage_key="s0", revision=20)
    await handle.signal(BusinessProcess.row_moved, service.row)
    await handle.execute_update(BusinessProcess.advance, an_order())
    return handle


async def process_overdue(client: Client, queue: str, service: ProcessStandIn) -> WorkflowHandle[Any, Any]:
    assert service.row is not None
    service.row = replace(service.row, stage_due_at=datetime.now(UTC) + timedelta(seconds=1))
    handle = await of_row(client, queue, service)

    async def shown() -> bool | None:
        return (await handle.describe()).typed_search_attributes.get(OVERDUE)

    await eventually(shown)
    return handle


# --- HealthTick, HealthEvaluation, AlertFanout


async def tick_over_weeks(client: Client, queue: str, service: HealthStandIn) -> WorkflowHandle[Any, Any]:
    handle = await client.start_workflow(HealthTick.run, id="tick", task_queue=queue)
    await handle.result()
    return handle


async def evaluation_with_alerts(client: Client, queue: str, service: HealthStandIn) -> WorkflowHandle[Any, Any]:
    handle = await client.start_workflow(
        HealthEvaluation.run, EvaluationOrder("2026-W42"), id=health_workflow("2026-W42"), task_queue=queue
    )
    await handle.result()
    return handle


async def alerts_marked_at_the_end(client: Client, queue: str, service: HealthStandIn) -> WorkflowHandle[Any, Any]:
    order = FanoutOrder("run", 0, "2026-W42")
    handle = await client.start_workflow(AlertFanout.run, order, id=alerts_workflow("run", "0"), task_queue=queue)
    await handle.result()
    return handle


# --- CustomerImport


async def of_import(client: Client, queue: str) -> WorkflowHandle[Any, Any]:
    order = ImportOrder(str(uuid4()))
    return await client.start_workflow(
        CustomerImport.run, order, id=import_workflow(order.import_id), task_queue=queue, start_signal="import_changed"
    )


async def import_to_its_end(client: Client, queue: str, service: ImportStandIn) -> WorkflowHandle[Any, Any]:
    handle = await of_import(client, queue)
    await handle.result()
    return handle


async def import_paused_and_resumed(client: Client, queue: str, service: ImportStandIn) -> WorkflowHandle[Any, Any]:
    service.become(State.PAUSED)
    handle = await of_import(client, queue)

    async def rests() -> bool:
        return "paused" in str(await handle.query("__temporal_workflow_metadata"))

    await eventually(rests)
    service.become(State.RUNNING)
    await handle.signal(CustomerImport.import_changed)
    await handle.result()
    return handle


# --- CustomersDayTick, CustomersDay


async def tick_over_days(client: Client, queue: str, service: DaysStandIn) -> WorkflowHandle[Any, Any]:
    handle = await client.start_workflow(CustomersDayTick.run, id="days-tick", task_queue=queue)
    await handle.result()
    return handle


async def day_in_steps(client: Client, queue: str, service: DaysStandIn) -> WorkflowHandle[Any, Any]:
    handle = await client.start_workflow(
        CustomersDay.run, DayOrder("2026-11-22"), id=customers_day_workflow("2026-11-22"), task_queue=queue
    )
    await handle.result()
    return handle
