"""Tasks: creating, doing, postponing and finding them. The clock's side is in task_clock.py."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from kejing.tasks.v1 import events_pb2, task_pb2, tasks_service_pb2, tasks_service_pb2_grpc
from services.shared.clock import Clock
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_timestamp
from services.tasks.api.new_tasks import deadline_columns, new_task
from services.tasks.api.parties import Parties
from services.tasks.api.task_clock import TaskClock
from services.tasks.api.task_messages import to_facts, to_postponement, to_task
from services.tasks.api.wire_time import to_deadline
from services.tasks.domain.deadline import Deadline, moved_deadline, new_deadline
from services.tasks.domain.notices import Reminders
from services.tasks.domain.task import TaskAction, check_cancelling, check_reopening, state_after
from services.tasks.storage import follow_ups, notices, tasks

REOPENED = "task reopened"
"""The reason in the ledger where a reopening set a new deadline."""


class TasksServicer(TaskClock, tasks_service_pb2_grpc.TasksServiceServicer):
    """TasksService, as its contract says."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, reminders: Reminders, parties: Parties) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._reminders = reminders
        self._parties = parties

    async def CreateTask(
        self, request: tasks_service_pb2.CreateTaskRequest, context: Any
    ) -> tasks_service_pb2.CreateTaskResponse:
        customer_id = UUID(request.customer_id)
        assignee_id = UUID(request.assignee_id) if request.assignee_id else caller().employee_id
        known = await self._parties.find(customer_id=customer_id, employee_id=assignee_id, theme_key=request.theme_key)
        deadline = to_deadline("deadline", request.deadline)
        async with self._db.write(request) as write:
            if write.first:
                known.check()
                await self._parties.check_assignee(write, assignee_id, customer_id)
                priority = request.priority or task_pb2.TASK_PRIORITY_NORMAL
                new = new_task(
                    write,
                    task_id=write.result_id,
                    customer_id=customer_id,
                    title=request.title,
                    theme_key=request.theme_key,
                    assignee_id=assignee_id,
                    deadline=deadline,
                    deadline_at=new_deadline(deadline, self._zone, write.now),
                    origin="RULE" if caller().actor.startswith("machine:") else "MANUAL",
                    reminders=self._reminders,
                    priority=task_pb2.TaskPriority.Name(priority).removeprefix("TASK_PRIORITY_"),
                    description=request.description,
                )
                [row] = await tasks.add(write, [new])
                write.emit(events_pb2.TaskChanged(facts=to_facts(row, self._reminders)))
            else:
                row = await self._stored(write)
        return tasks_service_pb2.CreateTaskResponse(task=to_task(row, write.now))

    async def GetTask(
        self, request: tasks_service_pb2.GetTaskRequest, context: Any
    ) -> tasks_service_pb2.GetTaskResponse:
        task_id, scope = UUID(request.task_id), caller().scope
        if scope.everything:
            row = await self._db.one(tasks.BY_ID, id=task_id)
        else:
            row = await self._db.one(tasks.BY_ID_IN_SCOPE, id=task_id, **scope.values)
        if row is None:
            raise NotFound("task", request.task_id)
        return tasks_service_pb2.GetTaskResponse(task=to_task(row, self._clock()))

    async def ListTasks(
        self, request: tasks_service_pb2.ListTasksRequest, context: Any
    ) -> tasks_service_pb2.ListTasksResponse:
        now = self._clock()
        size = page_size(request.page_size)
        states = [task_pb2.TaskState.Name(state).removeprefix("TASK_STATE_") for state in request.states if state]
        wanted = tasks.TaskFilter(
            customer_id=UUID(request.customer_id) if request.customer_id else None,
            assignee_id=UUID(request.assignee_id) if request.assignee_id else None,
            theme_key=request.theme_key,
            process_id=UUID(request.process_id) if request.process_id else None,
            states=states,
            overdue_at=now if request.overdue else None,
            due_before=from_timestamp("due_before", request.due_before) if request.HasField("due_before") else None,
        )
        async with self._db.read() as read:
            rows = await tasks.page(read, caller().scope, wanted, page_start(request), size + 1)
        answer = tasks_service_pb2.ListTasksResponse(tasks=(to_task(row, now) for row in rows[:size]))
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].deadline_at, rows[size - 1].id])
        return answer

    async def GetOpenWork(
        self, request: tasks_service_pb2.GetOpenWorkRequest, context: Any
    ) -> tasks_service_pb2.GetOpenWorkResponse:
        customer_id = UUID(request.customer_id)
        await self._parties.find(customer_id=customer_id)
        async with self._db.read() as read:
            row = await tasks.open_work(read, caller().scope, customer_id, self._clock())
        return tasks_service_pb2.GetOpenWorkResponse(**row._mapping)

    async def StartTask(
        self, request: tasks_service_pb2.StartTaskRequest, context: Any
    ) -> tasks_service_pb2.StartTaskResponse:
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                task = await self._lock(write)
                await self._change(write, {"state": state_after(task.state, TaskAction.START)})
            row = await self._stored(write)
        return tasks_service_pb2.StartTaskResponse(task=to_task(row, write.now))

    async def PostponeTask(
        self, request: tasks_service_pb2.PostponeTaskRequest, context: Any
    ) -> tasks_service_pb2.PostponeTaskResponse:
        deadline = to_deadline("deadline", request.deadline)
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                task = await self._lock(write)
                state_after(task.state, TaskAction.POSTPONE)
                deadline_at = moved_deadline(deadline, task.deadline_at, self._zone, write.now)
                moved = await self._move_deadline(write, task, deadline, deadline_at, request.reason)
                await self._change(write, moved)
            row = await self._stored(write)
        return tasks_service_pb2.PostponeTaskResponse(task=to_task(row, write.now))

    async def ListPostponements(
        self, request: tasks_service_pb2.ListPostponementsRequest, context: Any
    ) -> tasks_service_pb2.ListPostponementsResponse:
        async with self._db.read() as read:
            if await tasks.get(read, caller().scope, UUID(request.task_id)) is None:
                raise NotFound("task", request.task_id)
            rows = await notices.ledger(read, UUID(request.task_id))
        return tasks_service_pb2.ListPostponementsResponse(postponements=map(to_postponement, rows))

    async def CompleteTask(
        self, request: tasks_service_pb2.CompleteTaskRequest, context: Any
    ) -> tasks_service_pb2.CompleteTaskResponse:
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                task = await self._lock(write)
                state = state_after(task.state, TaskAction.COMPLETE)
                # Under the task's lock, which recording a follow-up on it takes too.
                if not await follow_ups.holds_for_completion(write.connection, task.id, task.assignee_id):
                    raise FailedPrecondition(
                        "FOLLOW_UP_MISSING", "completing it needs a follow-up on it by its assignee or a manager"
                    )
                await self._change(write, {"state": state, **_closed(write)})
            row = await self._stored(write)
        return tasks_service_pb2.CompleteTaskResponse(task=to_task(row, write.now))

    async def ReopenTask(
        self, request: tasks_service_pb2.ReopenTaskRequest, context: Any
    ) -> tasks_service_pb2.ReopenTaskResponse:
        deadline = to_deadline("deadline", request.deadline) if request.HasField("deadline") else None
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                task = await self._lock(write)
                state = state_after(task.state, TaskAction.REOPEN)
                check_reopening(task.closed_at, task.deadline_at, new_deadline=deadline is not None, now=write.now)
                if deadline:
                    deadline_at = moved_deadline(deadline, task.deadline_at, self._zone, write.now)
                    armed = await self._move_deadline(write, task, deadline, deadline_at, REOPENED)
                else:  # what should have been told meanwhile is not told afterwards
                    present = Deadline(task.deadline_date, task.deadline_time)
                    armed = deadline_columns(present, task.deadline_at, write.now, self._reminders)
                assignee_id = await self._parties.who_does_it(write, task.assignee_id)
                opened = {"state": state, "assignee_id": assignee_id, "closed_at": None, "closed_by": ""}
                await self._change(write, {**opened, **armed})
            row = await self._stored(write)
        return tasks_service_pb2.ReopenTaskResponse(task=to_task(row, write.now))

    async def CancelTask(
        self, request: tasks_service_pb2.CancelTaskRequest, context: Any
    ) -> tasks_service_pb2.CancelTaskResponse:
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                task = await self._lock(write)
                state = state_after(task.state, TaskAction.CANCEL)
                check_cancelling(required=task.required)
                await self._change(write, {"state": state, "cancel_reason": request.reason, **_closed(write)})
            row = await self._stored(write)
        return tasks_service_pb2.CancelTaskResponse(task=to_task(row, write.now))

    async def ReassignTask(
        self, request: tasks_service_pb2.ReassignTaskRequest, context: Any
    ) -> tasks_service_pb2.ReassignTaskResponse:
        assignee_id = UUID(request.assignee_id)
        await self._parties.find(employee_id=assignee_id)
        async with self._db.write(request, result_id=UUID(request.task_id)) as write:
            if write.first:
                customer_id = (await self._stored(write)).customer_id  # which never changes
                await self._parties.check_assignee(write, assignee_id, customer_id)
                task = await self._lock(write)
                state_after(task.state, TaskAction.REASSIGN)
                await self._change(write, {"assignee_id": assignee_id})
            row = await self._stored(write)
        return tasks_service_pb2.ReassignTaskResponse(task=to_task(row, write.now))

    async def _lock(self, write: Write) -> Row[Any]:
        row = await tasks.lock(write, caller().scope, write.result_id)
        if row is None:
            raise NotFound("task", write.result_id)
        if write.doing:
            write.doing.customer_id = str(row.customer_id)
        return row

    async def _stored(self, write: Write) -> Row[Any]:
        row = await tasks.get(write.connection, caller().scope, write.result_id)
        if row is None:
            raise NotFound("task", write.result_id)
        return row

    async def _change(self, write: Write, values: dict[str, Any]) -> None:
        row = await tasks.change(write, write.result_id, values)
        write.emit(events_pb2.TaskChanged(facts=to_facts(row, self._reminders)))

    async def _move_deadline(
        self, write: Write, task: Row[Any], deadline: Deadline, deadline_at: datetime, reason: str
    ) -> dict[str, Any]:
        """Writes the move into the ledger; answers the task's new columns."""
        await notices.add_postponement(write, task, deadline_at, reason)
        moved = deadline_columns(deadline, deadline_at, write.now, self._reminders)
        return {"postponement_count": task.postponement_count + 1, **moved}


def _closed(write: Write) -> dict[str, Any]:
    return {"closed_at": write.now, "closed_by": write.actor, "next_notice_at": None}
