"""How an order reaches the workflow of a process, and what its answer means to the caller."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from kejing.tasks.v1 import process_pb2, process_records_service_pb2
from services.shared.errors import FailedPrecondition, Refusal, Unavailable
from services.shared.ids import new_id
from services.shared.logging import get_logger
from services.shared.rpc.client import on_behalf_of
from workflows.attributes import initial
from workflows.business_process.records import to_record
from workflows.business_process.starting import start_from_row
from workflows.business_process.types import Action, Order, ProcessInput, ProcessRecord, StartOrder
from workflows.business_process.workflow import BusinessProcess
from workflows.clients import Clients, refusal_of_error, refusals
from workflows.names import CUSTOMER_ID, DEFINITION_KEY, OWNER_ID, TaskQueue, process_workflow

PATIENCE_SECONDS = 8.0
"""So long an order is waited for; less where the caller's own deadline is nearer."""
ANSWER_SECONDS = 0.5
"""Kept from the caller's deadline so that the answer still arrives."""
TRIES = 3

UPDATES = {
    Action.ADVANCE: BusinessProcess.advance,
    Action.RETURN: BusinessProcess.return_to,
    Action.PAUSE: BusinessProcess.pause,
    Action.RESUME: BusinessProcess.resume,
    Action.TERMINATE: BusinessProcess.terminate,
}


class Orders:
    """Gives orders to processes.

    An update has an id of its own each time it is sent: Temporal would answer a repeat with the first outcome, and a
    refusal must not be remembered. That an action takes effect once the workflow sees to, by the action's id.
    """

    def __init__(self, temporal: Client, clients: Clients, zone: str) -> None:
        self._temporal = temporal
        self._records = clients.process_records
        self._zone = zone

    async def start(
        self, process_id: str, order: StartOrder, summary: str, context: grpc.aio.ServicerContext
    ) -> ProcessRecord:
        """Starts the process's workflow together with the update that opens the row. A repeat answers the row.

        Raises:
            Refusal: what the row's owner says; UNAVAILABLE with OUTCOME_UNKNOWN where no answer came in time.
        """
        attributes = {
            CUSTOMER_ID: order.customer_id,
            DEFINITION_KEY: order.definition_key,
            OWNER_ID: order.owner_id,
        }
        seconds = _patience(context)

        async def send() -> ProcessRecord:
            starting: WithStartWorkflowOperation[BusinessProcess, None] = WithStartWorkflowOperation(
                BusinessProcess.run,
                ProcessInput(process_id, self._zone),
                id=process_workflow(process_id),
                task_queue=TaskQueue.INTERACTIVE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=initial(attributes),
                static_summary=summary,
            )
            try:
                return await self._temporal.execute_update_with_start_workflow(
                    BusinessProcess.start,
                    order,
                    start_workflow_operation=starting,
                    id=f"start/{new_id()}",
                    rpc_timeout=timedelta(seconds=seconds),
                )
            except BaseException:
                _forget(starting)
                raise

        return await _answered(send(), seconds)

    async def give(
        self, process_id: str, action: Action, order: Order, context: grpc.aio.ServicerContext
    ) -> ProcessRecord:
        """Lets the process's workflow carry the order out and answers the row.

        Raises:
            Refusal: of the workflow's rules or of the row's owner; NOT_FOUND with PROCESS_NOT_FOUND; UNAVAILABLE with
                OUTCOME_UNKNOWN where no answer came in time.
        """
        handle: WorkflowHandle[BusinessProcess, None] = self._temporal.get_workflow_handle(process_workflow(process_id))
        seconds = _patience(context)
        for _ in range(TRIES):
            try:
                update = handle.execute_update(
                    UPDATES[action],
                    order,
                    id=f"{order.action_id}/{new_id()}",
                    rpc_timeout=timedelta(seconds=seconds),
                )
                return await _answered(update, seconds)
            except _NotRunningError:
                row = await self._row(process_id)
                if row.state in (process_pb2.PROCESS_STATE_COMPLETED, process_pb2.PROCESS_STATE_TERMINATED):
                    await self._refuse_unless_recorded(row, action, order, _ended(row))
                    return to_record(row)
                await start_from_row(self._temporal, to_record(row), self._zone)
            except _StaleRulesError as refused:
                row = await self._row(process_id)
                if row.revision == refused.revision:
                    await self._refuse_unless_recorded(row, action, order, refused.refusal)
                    return to_record(row)
                await handle.signal(BusinessProcess.row_moved, to_record(row))
        raise Unavailable("OUTCOME_UNKNOWN", UNKNOWN)

    async def _refuse_unless_recorded(
        self, row: process_pb2.Process, action: Action, order: Order, refusal: Refusal
    ) -> None:
        """Raises `refusal` unless the row's owner made this very action before: then the order is a repeat, and the
        workflow that carried it out is no more, or has forgotten it."""
        request = process_records_service_pb2.RecordTransitionRequest(
            process_id=row.id,
            expected_revision=row.revision + 1,  # no row has it: so nothing is done, only what was done is told
            action_id=order.action_id,
            action=process_pb2.ProcessAction.Value(f"PROCESS_ACTION_{action}"),
            to_stage_key=order.to_stage_key,
        )
        with refusals():
            person = on_behalf_of(order.actor, order.acting_for)
            answer = await self._records.RecordTransition(request, metadata=person)
        if not answer.recorded:
            raise refusal

    async def _row(self, process_id: str) -> process_pb2.Process:
        request = process_records_service_pb2.GetProcessRequest(process_id=process_id)
        with refusals():
            answer: process_records_service_pb2.GetProcessResponse = await self._records.GetProcess(request)
        return answer.process


UNKNOWN = "no answer came in time; the order may still be carried out: send it again with the same request_id"


class _NotRunningError(Exception):
    """The process has no running workflow."""


class _StaleRulesError(Exception):
    """The workflow refused by its own rules on the row's `revision`, which may be an old one."""

    def __init__(self, refusal: Refusal, revision: int) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.revision = revision


async def _answered(update: Awaitable[ProcessRecord], seconds: float) -> ProcessRecord:
    """The update's answer; its failures as what they mean."""
    try:
        async with asyncio.timeout(seconds):
            return await update
    except WorkflowUpdateFailedError as failed:
        if not isinstance(failed.cause, ApplicationError):
            get_logger().error("an update failed in a way that was not foreseen", exc_info=failed)
            raise Unavailable("OUTCOME_UNKNOWN", UNKNOWN) from None
        refusal = refusal_of_error(failed.cause)
        revision = failed.cause.details[1] if len(failed.cause.details) > 1 else 0
        if revision:
            raise _StaleRulesError(refusal, revision) from None
        raise refusal from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise _NotRunningError from None
        get_logger().warning("temporal did not answer an order", status=error.status.name, error=error.message[:300])
        raise Unavailable("OUTCOME_UNKNOWN", UNKNOWN) from None
    except (TimeoutError, RPCTimeoutOrCancelledError):
        raise Unavailable("OUTCOME_UNKNOWN", UNKNOWN) from None


def _ended(row: process_pb2.Process) -> Refusal:
    state = process_pb2.ProcessState.Name(row.state).removeprefix("PROCESS_STATE_")
    return FailedPrecondition("PROCESS_STATE", f"the process is {state}", state=state)


def _patience(context: grpc.aio.ServicerContext) -> float:
    """Seconds to wait for an order."""
    left = context.time_remaining()
    return PATIENCE_SECONDS if left is None else max(0.1, min(PATIENCE_SECONDS, left - ANSWER_SECONDS))


def _forget(starting: WithStartWorkflowOperation[Any, Any]) -> None:
    """Looks at the outcome of a failed start, so that asyncio doesn't report it as never looked at."""

    def look(task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()

    started = asyncio.ensure_future(starting.workflow_handle())
    started.add_done_callback(look)
    asyncio.get_running_loop().call_later(1, started.cancel)
