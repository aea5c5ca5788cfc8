"""Looking at workflows of the running process, and giving orders to it."""

from typing import Any

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kejing.processes.v1 import processes_service_pb2 as orders
from kejing.tasks.v1 import process_pb2
from kejing.tasks.v1.process_records_service_pb2 import GetProcessRequest
from tests.support.eventually import eventually
from tests.support.tasks import Team, rid, stage


async def described(temporal: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    try:
        return await temporal.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def opened(temporal: Client, workflow_id: str) -> WorkflowExecutionDescription:
    async def running() -> WorkflowExecutionDescription | None:
        found = await described(temporal, workflow_id)
        return found if found and found.status is WorkflowExecutionStatus.RUNNING else None

    found = await eventually(running)
    assert found is not None
    return found


async def ended(temporal: Client, workflow_id: str) -> None:
    async def closed() -> bool:
        found = await described(temporal, workflow_id)
        return found is not None and found.status is WorkflowExecutionStatus.COMPLETED

    await eventually(closed)


async def start(
    team: Team, csm: Any, *stages: process_pb2.Stage, request_id: str = "", customer_id: str = ""
) -> process_pb2.Process:
    """A process of the customer; of a new one of the team's where none is given."""
    definition = await team.definition(*(stages or (stage("kickoff"), stage("review"))))
    request = orders.StartProcessRequest(
        request_id=request_id or rid(),
        customer_id=customer_id or await team.customer(),
        definition_key=definition.key,
    )
    process: process_pb2.Process = (await csm.StartProcess(request)).process
    return process


async def get(team: Team, process_id: str) -> process_pb2.Process:
    answer = await team.csm.records.GetProcess(GetProcessRequest(process_id=process_id))
    process: process_pb2.Process = answer.process
    return process


def advance(process: process_pb2.Process, **values: Any) -> orders.AdvanceStageRequest:
    return orders.AdvanceStageRequest(**{"request_id": rid(), "process_id": process.id, **values})
