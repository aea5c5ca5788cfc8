"""How the workflow of a process is started from its row, where it has none."""

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy

from workflows.attributes import initial
from workflows.business_process.display import search_attributes, summary
from workflows.business_process.types import ProcessInput, ProcessRecord
from workflows.business_process.workflow import BusinessProcess
from workflows.names import TaskQueue, process_workflow


async def start_from_row(
    client: Client, record: ProcessRecord, zone: str, priority: Priority = Priority.default
) -> None:
    """Starts the workflow of the process unless it runs; it reads the row anew itself.

    Raises:
        RPCError: Temporal did not take it.
    """
    await client.start_workflow(
        BusinessProcess.run,
        ProcessInput(record.id, zone, load=True),
        id=process_workflow(record.id),
        task_queue=TaskQueue.INTERACTIVE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        search_attributes=initial(search_attributes(record, overdue=False)),
        static_summary=summary(record.definition_name, record.customer_label),
        priority=priority,
    )
