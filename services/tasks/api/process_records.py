"""The rows of processes: reads for people, writes for the workflows alone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from kejing.tasks.v1 import events_pb2, process_pb2, process_records_service_pb2_grpc
from kejing.tasks.v1 import process_records_service_pb2 as messages
from services.shared.clock import business_date
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.ids import new_id
from services.shared.rpc.caller import caller
from services.tasks.api.new_tasks import new_task
from services.tasks.api.parties import Parties
from services.tasks.api.process_messages import to_process, to_transition
from services.tasks.api.task_messages import to_facts
from services.tasks.domain.deadline import Deadline
from services.tasks.domain.notices import Reminders
from services.tasks.domain.process import (
    NEEDS_REASON,
    ProcessAction,
    ProcessState,
    check_required_done,
    index_of,
    moved,
    started,
)
from services.tasks.storage import definitions, processes, tasks
from services.tasks.storage.parties import hold_people, owners_of

ACTION = "PROCESS_ACTION_"
START_ACTION = "start"
RETURNED = "process returned to an earlier stage"
TERMINATED = "process terminated"


class ProcessRecordsServicer(process_records_service_pb2_grpc.ProcessRecordsServiceServicer):
    """ProcessRecordsService, as its contract says."""

    def __init__(self, db: Database, zone: ZoneInfo, reminders: Reminders, parties: Parties) -> None:
        self._db = db
        self._zone = zone
        self._reminders = reminders
        self._parties = parties

    async def GetProcess(self, request: messages.GetProcessRequest, context: Any) -> messages.GetProcessResponse:
        async with self._db.read() as read:
            row = _stored(await processes.get(read, caller().scope, UUID(request.process_id)), request.process_id)
        return messages.GetProcessResponse(process=to_process(row))

    async def ListProcesses(
        self, request: messages.ListProcessesRequest, context: Any
    ) -> messages.ListProcessesResponse:
        size = page_size(request.page_size)
        states = [process_pb2.ProcessState.Name(s).removeprefix("PROCESS_STATE_") for s in request.states if s]
        only: dict[str, object] = {f: UUID(v) for f in ("customer_id", "owner_id") if (v := getattr(request, f))}
        only |= {field: v for field in ("definition_key", "stage_key") if (v := getattr(request, field))}
        async with self._db.read() as read:
            rows = await processes.page(read, caller().scope, only, states, page_start(request), size + 1)
        answer = messages.ListProcessesResponse(processes=map(to_process, rows[:size]))
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].started_at, rows[size - 1].id])
        return answer

    async def ListTransitions(
        self, request: messages.ListTransitionsRequest, context: Any
    ) -> messages.ListTransitionsResponse:
        async with self._db.read() as read:
            _stored(await processes.get(read, caller().scope, UUID(request.process_id)), request.process_id)
            rows = await processes.history(read, UUID(request.process_id))
        return messages.ListTransitionsResponse(transitions=map(to_transition, rows))

    async def CheckOrder(self, request: messages.CheckOrderRequest, context: Any) -> messages.CheckOrderResponse:
        if request.customer_id:
            await self._parties.find(customer_id=UUID(request.customer_id))
        else:
            async with self._db.read() as read:
                _stored(await processes.get(read, caller().scope, UUID(request.process_id)), request.process_id)
        return messages.CheckOrderResponse()

    async def RecordStart(self, request: messages.RecordStartRequest, context: Any) -> messages.RecordStartResponse:
        process_id, owner_id = UUID(request.process_id), UUID(request.owner_id)
        known = await self._parties.find(customer_id=UUID(request.customer_id), employee_id=owner_id)
        async with self._db.transaction() as write:
            row = await processes.get(write.connection, caller().scope, process_id)
            if row is None:
                known.check()
                row = await self._open(write, request, owner_id)
            else:
                write.doing = None
        return messages.RecordStartResponse(process=to_process(row))

    async def KeepReason(self, request: messages.KeepReasonRequest, context: Any) -> messages.KeepReasonResponse:
        async with self._db.transaction() as write:
            write.doing = None  # the transition is what the audit tells of; the process's history has the reason
            await processes.keep_reason(write, request.action_id, request.reason)
        return messages.KeepReasonResponse()

    async def RecordTransition(
        self, request: messages.RecordTransitionRequest, context: Any
    ) -> messages.RecordTransitionResponse:
        process_id = UUID(request.process_id)
        action = ProcessAction(process_pb2.ProcessAction.Name(request.action).removeprefix(ACTION))
        async with self._db.transaction() as write:
            row = _stored(await processes.get(write.connection, caller().scope, process_id), process_id)
            await hold_people(write, row.owner_id, row.customer_id)
            row = _stored(await processes.lock(write, caller().scope, process_id), process_id)
            doing, write.doing = write.doing, None  # what is answered again is nothing to the audit
            if await processes.was_recorded(write.connection, process_id, request.action_id):
                return messages.RecordTransitionResponse(recorded=True, process=to_process(row))
            if row.revision != request.expected_revision:
                return messages.RecordTransitionResponse(recorded=False, process=to_process(row))
            stages, before = processes.stages_of(row), processes.standing_of(row)
            after = moved(
                before, action, request.to_stage_key, stages,
                allows_skipping=row.allows_skipping, now=write.now, zone=self._zone,
            )  # fmt: skip
            if action == ProcessAction.ADVANCE:
                open_tasks = await tasks.open_required(write.connection, process_id, before.stage_key)
                check_required_done([(str(task.id), task.title) for task in open_tasks])
            reason = await processes.take_reason(write, request.action_id)
            if action in NEEDS_REASON and not reason:
                raise FailedPrecondition("REASON_MISSING", f"{action} needs a reason, kept under its action_id before")

            if doing:
                doing.customer_id, write.doing = str(row.customer_id), doing
            await processes.move(write, process_id, row.revision + 1, after)
            await processes.add_transition(
                write,
                {
                    "process_id": process_id,
                    "revision": row.revision + 1,
                    "action_id": request.action_id,
                    "action": action.value,
                    "from_stage_key": before.stage_key,
                    "to_stage_key": after.stage_key,
                    "reason": reason,
                },
            )
            row = _stored(await processes.get(write.connection, caller().scope, process_id), process_id)
            write.emit(events_pb2.ProcessChanged(process=to_process(row)))
            if action == ProcessAction.TERMINATE:
                self._tell(write, await tasks.cancel_of_process(write, process_id, None, TERMINATED))
            if action == ProcessAction.RETURN:
                # Also optional tasks that stages in between left open: those stages make theirs anew when entered.
                undone = [stage.key for stage in stages[index_of(stages, after.stage_key) :]]
                self._tell(write, await tasks.cancel_of_process(write, process_id, undone, RETURNED))
            if after.stage_key != before.stage_key and after.state == ProcessState.RUNNING:
                await self._create_stage_tasks(write, row)
        return messages.RecordTransitionResponse(recorded=True, process=to_process(row))

    async def _open(self, write: Write, request: messages.RecordStartRequest, owner_id: UUID) -> Row[Any]:
        """The row of a new process; where another call opened it meanwhile, that row."""
        process_id = UUID(request.process_id)
        await self._parties.check_owner(write, owner_id, UUID(request.customer_id))
        definition = await definitions.published(write.connection, request.definition_key)
        if definition is None:
            raise NotFound("process definition", request.definition_key)
        standing = started(processes.stages_of(definition), write.now, self._zone)
        new = {
            "id": process_id,
            "customer_id": UUID(request.customer_id),
            "definition_id": definition.id,
            "definition_key": definition.key,
            "owner_id": owner_id,
            "first_owner_id": owner_id,
            "revision": 1,
            "started_at": write.now,
        }
        is_new = await processes.add(write, new, standing)
        row = _stored(await processes.get(write.connection, caller().scope, process_id), process_id)
        if is_new:
            await processes.add_transition(
                write,
                {
                    "process_id": process_id,
                    "revision": 1,
                    "action_id": START_ACTION,
                    "action": ProcessAction.START.value,
                    "from_stage_key": "",
                    "to_stage_key": standing.stage_key,
                    "reason": "",
                },
            )
            write.emit(events_pb2.ProcessChanged(process=to_process(row)))
            await self._create_stage_tasks(write, row)
        return row

    async def _create_stage_tasks(self, write: Write, process: Row[Any]) -> None:
        """Creates the tasks of the stage that was entered; each goes to the holder of its role, else as _otherwise."""
        stages = processes.stages_of(process)
        stage = stages[index_of(stages, process.stage_key)]
        if not stage.tasks:
            return
        today = business_date(write.now, self._zone)
        holders = await owners_of(write, process.customer_id, today)
        otherwise = process.owner_id
        if any(task.assignee_role not in holders for task in stage.tasks):
            otherwise = await self._otherwise(write, process, holders)
        new = []
        for task in stage.tasks:
            deadline = Deadline(today + timedelta(days=task.deadline_offset_days))
            new.append(
                new_task(
                    write,
                    task_id=new_id(),
                    customer_id=process.customer_id,
                    title=task.title,
                    theme_key=process.theme_key,
                    assignee_id=holders.get(task.assignee_role, otherwise),
                    deadline=deadline,
                    deadline_at=deadline.instant(self._zone),
                    origin="PROCESS",
                    reminders=self._reminders,
                    process_id=process.id,
                    stage_key=stage.key,
                    required=task.required,
                )
            )
        self._tell(write, await tasks.add(write, new))

    async def _otherwise(self, write: Write, process: Row[Any], holders: dict[str, UUID]) -> UUID:
        """Who gets the tasks of a role that nobody holds: the process's owner, while he sees the customer; else the CSM
        or any other owner. Where the customer has none, still the process's owner: a task is never lost, and whoever
        sees the customer can give it to somebody else.
        """
        owner_id: UUID = process.owner_id
        if not holders or await self._parties.may_do_tasks(write, owner_id, process.customer_id):
            return owner_id
        return holders.get("CSM") or next(iter(holders.values()))

    def _tell(self, write: Write, changed: Sequence[Row[Any]]) -> None:
        for row in changed:
            write.emit(events_pb2.TaskChanged(facts=to_facts(row, self._reminders)))


def _stored(row: Row[Any] | None, process_id: object) -> Row[Any]:
    if row is None:
        raise NotFound("process", process_id)
    return row
