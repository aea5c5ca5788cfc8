"""How the fan-out of a range that still owes alerts is started."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from workflows.alert_fanout.types import FanoutOrder
from workflows.alert_fanout.workflow import AlertFanout
from workflows.names import TaskQueue, alerts_workflow


async def start_owed(client: Client, order: FanoutOrder) -> None:
    """Starts the range's fan-out unless it runs.

    Raises:
        RPCError: Temporal did not take it.
    """
    await client.start_workflow(
        AlertFanout.run,
        order,
        id=alerts_workflow(order.run_id, str(order.key_range)),
        task_queue=TaskQueue.BATCH,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,  # it ended, and the row says that it isn't done
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"Alerts of {order.week}, range {order.key_range + 1}",
    )
