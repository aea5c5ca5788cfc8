"""The clock's side of tasks: its rings take effect once, and lost clocks are found again."""

from typing import Any
from uuid import UUID

from kejing.tasks.v1 import events_pb2, task_pb2, tasks_service_pb2
from services.shared.clock import Clock
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_timestamp
from services.tasks.api.task_messages import to_facts
from services.tasks.domain.notices import Reminders, check_notice
from services.tasks.storage import notices, parties, processes, tasks


class TaskClock:
    """The rpcs of TasksService that only machines call."""

    _db: Database
    _clock: Clock
    _reminders: Reminders

    async def NoticeTask(
        self, request: tasks_service_pb2.NoticeTaskRequest, context: Any
    ) -> tasks_service_pb2.NoticeTaskResponse:
        due_at, deadline_at = (
            from_timestamp("due_at", request.due_at),
            from_timestamp("deadline_at", request.deadline_at),
        )
        overdue = request.kind == task_pb2.NOTICE_KIND_OVERDUE
        check_notice(overdue=overdue, due_at=due_at, deadline_at=deadline_at, now=self._clock())
        async with self._db.transaction() as write:
            task = await tasks.lock(write, caller().scope, UUID(request.task_id))
            if task is None:
                raise NotFound("task", request.task_id)
            doing, write.doing = write.doing, None  # a ring that changes nothing is nothing to the audit
            answer = tasks_service_pb2.NoticeTaskResponse(facts=to_facts(task, self._reminders))
            if task.closed_at is not None:
                answer.outcome = tasks_service_pb2.NOTICE_OUTCOME_CLOSED
                return answer
            if task.deadline_at != deadline_at:
                answer.outcome = tasks_service_pb2.NOTICE_OUTCOME_MOVED
                return answer
            answer.outcome = tasks_service_pb2.NOTICE_OUTCOME_NOTICED
            kind = task_pb2.NoticeKind.Name(request.kind).removeprefix("NOTICE_KIND_")
            # A ring may have waited for this service to be back: nobody is reminded of what he has missed by now.
            in_time = overdue or write.now < deadline_at
            if in_time and await notices.give(write, task.id, kind, due_at, deadline_at):
                write.doing = doing
                recipients = [task.assignee_id]
                if overdue and (manager_id := await parties.manager_of(write.connection, task.assignee_id)):
                    recipients.append(manager_id)
                following = None
                if not overdue:  # once overdue nobody is reminded any more, also where reminders were missed
                    given = await notices.given(write.connection, task.id, deadline_at)
                    following = self._reminders.next_notice(deadline_at, task.armed_at, given)
                await tasks.set_noticed(write, task.id, following, deadline_at if overdue else None)
                told = events_pb2.TaskNoticed(
                    task_id=str(task.id),
                    customer_id=str(task.customer_id),
                    recipient_ids=map(str, recipients),
                    kind=request.kind,
                    deadline_at=request.deadline_at,
                    due_at=request.due_at,
                )
                told.late_by.FromTimedelta(max(write.now, due_at) - due_at)
                write.emit(told)
        return answer

    async def ListOpenTaskFacts(
        self, request: tasks_service_pb2.ListOpenTaskFactsRequest, context: Any
    ) -> tasks_service_pb2.ListOpenTaskFactsResponse:
        size = page_size(request.page_size)
        before = None
        if request.HasField("unnoticed_before"):
            before = from_timestamp("unnoticed_before", request.unnoticed_before)
        async with self._db.read() as read:
            rows = await tasks.open_page(read, caller().scope, before, page_start(request), size + 1)
        facts = (to_facts(row, self._reminders) for row in rows[:size])
        answer = tasks_service_pb2.ListOpenTaskFactsResponse(tasks=facts)
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].id])
        return answer

    async def CountOpenTasks(
        self, request: tasks_service_pb2.CountOpenTasksRequest, context: Any
    ) -> tasks_service_pb2.CountOpenTasksResponse:
        employee_id, scope = UUID(request.employee_id), caller().scope
        async with self._db.read() as read:
            return tasks_service_pb2.CountOpenTasksResponse(
                tasks=await tasks.count_open_of(read, scope, employee_id),
                processes=await processes.count_open_of(read, scope, employee_id),
            )
