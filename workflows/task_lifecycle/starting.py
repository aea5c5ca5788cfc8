"""How a task's clock is started or told, by whoever reads the task's facts."""

from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from workflows.attributes import initial
from workflows.names import TaskQueue, task_workflow
from workflows.task_lifecycle.display import search_attributes, summary
from workflows.task_lifecycle.types import ClockState, TaskClock
from workflows.task_lifecycle.workflow import TaskLifecycle


async def send_clock(
    client: Client, clock: TaskClock, zone: str, *, signal: str = "task_changed", priority: Priority = Priority.default
) -> None:
    """Tells the task's clock its facts; starts it first where an open task has none.

    Args:
        zone: name of the business time zone.
        signal: "task_changed", or "recheck" where the clock must take the facts in any case.
        priority: of the workflow, where it is started now.

    Raises:
        RPCError: Temporal did not take it.
    """
    if not clock.open:
        await _signal_if_running(client, clock, signal)
        return
    overdue = clock.deadline_at <= datetime.now(UTC)
    await client.start_workflow(
        TaskLifecycle.run,
        ClockState(clock, zone),
        id=task_workflow(clock.task_id),
        task_queue=TaskQueue.INTERACTIVE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=signal,
        start_signal_args=[clock],
        search_attributes=initial(search_attributes(clock, overdue)),
        static_summary=summary(clock),
        priority=priority,
    )


async def _signal_if_running(client: Client, clock: TaskClock, signal: str) -> None:
    try:
        await client.get_workflow_handle(task_workflow(clock.task_id)).signal(signal, clock)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
