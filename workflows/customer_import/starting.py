"""How an import is started, or told that something was done to it."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from workflows.customer_import.display import summary
from workflows.customer_import.types import ImportOrder
from workflows.customer_import.workflow import CustomerImport
from workflows.names import TaskQueue, import_workflow
from workflows.policies import BULK


async def send_import(client: Client, import_id: str, *, running: bool) -> None:
    """Tells the import's workflow that its row has changed; starts it first where it is to get on and has none.

    One that is started though its import has ended learns so from its first step, and ends.

    Raises:
        RPCError: Temporal did not take it.
    """
    if not running:
        await _signal_if_running(client, import_id)
        return
    await client.start_workflow(
        CustomerImport.run,
        ImportOrder(import_id),
        id=import_workflow(import_id),
        task_queue=TaskQueue.IMPORTS,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="import_changed",
        static_summary=summary(import_id),
        priority=BULK,
    )


async def _signal_if_running(client: Client, import_id: str) -> None:
    try:
        await client.get_workflow_handle(import_workflow(import_id)).signal(CustomerImport.import_changed)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
