"""How an evaluation that somebody asked for is started."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from kejing.health.v1.events_pb2 import EvaluationRequested
from workflows.health_evaluation.display import summary
from workflows.health_evaluation.types import EvaluationOrder
from workflows.health_evaluation.workflow import HealthEvaluation
from workflows.names import TaskQueue, health_workflow


async def start_requested(client: Client, payload: EvaluationRequested, actor: str) -> None:
    """Starts the run that `actor`, an employee, asked for, unless it runs or is done.

    Raises:
        RPCError: Temporal did not take it.
    """
    try:
        await client.start_workflow(
            HealthEvaluation.run,
            EvaluationOrder(payload.week, payload.number, actor=actor),
            id=health_workflow(payload.week, payload.number),
            task_queue=TaskQueue.BATCH,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=summary(payload.week, payload.number),
        )
    except WorkflowAlreadyStartedError:
        return
