"""Follow-ups: interactions with customers, as recorded."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.tasks.v1 import events_pb2, follow_ups_service_pb2, follow_ups_service_pb2_grpc
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_timestamp
from services.tasks.api.parties import Parties
from services.tasks.api.task_messages import to_facts
from services.tasks.api.wire_time import set_instant
from services.tasks.domain.notices import Reminders
from services.tasks.domain.task import TaskAction, state_after
from services.tasks.storage import follow_ups, tasks

CHANNEL = "CHANNEL_"


class FollowUpsServicer(follow_ups_service_pb2_grpc.FollowUpsServiceServicer):
    """FollowUpsService, as its contract says."""

    def __init__(self, db: Database, reminders: Reminders, parties: Parties) -> None:
        self._db = db
        self._reminders = reminders
        self._parties = parties

    async def CreateFollowUp(
        self, request: follow_ups_service_pb2.CreateFollowUpRequest, context: Any
    ) -> follow_ups_service_pb2.CreateFollowUpResponse:
        customer_id = UUID(request.customer_id)
        known = await self._parties.find(customer_id=customer_id, theme_key=request.theme_key)
        async with self._db.write(request) as write:
            if write.first:
                known.check()
                occurred_at = write.now
                if request.HasField("occurred_at"):
                    occurred_at = from_timestamp("occurred_at", request.occurred_at)
                if occurred_at > write.now:
                    raise InvalidArgument(
                        "occurred_at", occurred_at.isoformat(), "it must not lie in the future", "OCCURRED_IN_FUTURE"
                    )
                task_id = UUID(request.task_id) if request.task_id else None
                if task_id:
                    await self._work_on_task(write, task_id, customer_id)
                new = {
                    "id": write.result_id,
                    "customer_id": customer_id,
                    "theme_key": request.theme_key,
                    "occurred_at": occurred_at,
                    "recorded_at": write.now,
                    "channel": follow_ups_service_pb2.Channel.Name(request.channel).removeprefix(CHANNEL),
                    "content": request.content,
                    "customer_feedback": request.customer_feedback,
                    "next_step": request.next_step,
                    "task_id": task_id,
                    "author_id": caller().person_id,
                    "on_behalf_of_id": caller().employee_id if caller().acting_for else None,
                }
                row = await follow_ups.add(write, new)
                write.emit(_recorded(row))
            else:
                row = _stored(await follow_ups.get(write.connection, caller().scope, write.result_id), write.result_id)
        return follow_ups_service_pb2.CreateFollowUpResponse(follow_up=_follow_up(row))

    async def GetFollowUp(
        self, request: follow_ups_service_pb2.GetFollowUpRequest, context: Any
    ) -> follow_ups_service_pb2.GetFollowUpResponse:
        async with self._db.read() as read:
            row = _stored(await follow_ups.get(read, caller().scope, UUID(request.follow_up_id)), request.follow_up_id)
        return follow_ups_service_pb2.GetFollowUpResponse(follow_up=_follow_up(row))

    async def ListFollowUps(
        self, request: follow_ups_service_pb2.ListFollowUpsRequest, context: Any
    ) -> follow_ups_service_pb2.ListFollowUpsResponse:
        size = page_size(request.page_size)
        only: dict[str, object] = {
            field: UUID(value)
            for field in ("customer_id", "task_id", "author_id")
            if (value := getattr(request, field))
        }
        if request.theme_key:
            only["theme_key"] = request.theme_key
        async with self._db.read() as read:
            rows = await follow_ups.page(read, caller().scope, only, page_start(request), size + 1)
        answer = follow_ups_service_pb2.ListFollowUpsResponse(follow_ups=map(_follow_up, rows[:size]))
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].occurred_at, rows[size - 1].id])
        return answer

    async def _work_on_task(self, write: Write, task_id: UUID, customer_id: UUID) -> None:
        """Whoever follows a task up has begun it."""
        task = await tasks.lock(write, caller().scope, task_id)
        if task is None:
            raise NotFound("task", task_id)
        if task.customer_id != customer_id:
            raise FailedPrecondition("TASK_OF_OTHER_CUSTOMER", f"task {task_id} is not one of customer {customer_id}")
        state = state_after(task.state, TaskAction.FOLLOW_UP)
        if state != task.state:
            row = await tasks.change(write, task_id, {"state": state})
            write.emit(events_pb2.TaskChanged(facts=to_facts(row, self._reminders)))


def _stored(row: Row[Any] | None, follow_up_id: object) -> Row[Any]:
    if row is None:
        raise NotFound("follow up", follow_up_id)
    return row


def _follow_up(row: Row[Any]) -> follow_ups_service_pb2.FollowUp:
    follow_up = follow_ups_service_pb2.FollowUp(
        id=str(row.id),
        customer_id=str(row.customer_id),
        theme_key=row.theme_key,
        channel=follow_ups_service_pb2.Channel.Value(f"{CHANNEL}{row.channel}"),
        content=row.content,
        customer_feedback=row.customer_feedback,
        next_step=row.next_step,
        task_id=str(row.task_id or ""),
        author_id=str(row.author_id),
        on_behalf_of_id=str(row.on_behalf_of_id or ""),
    )
    set_instant(follow_up.occurred_at, row.occurred_at)
    set_instant(follow_up.recorded_at, row.recorded_at)
    return follow_up


def _recorded(row: Row[Any]) -> events_pb2.FollowUpRecorded:
    event = events_pb2.FollowUpRecorded(
        follow_up_id=str(row.id),
        customer_id=str(row.customer_id),
        theme_key=row.theme_key,
        task_id=str(row.task_id or ""),
        author_id=str(row.author_id),
        on_behalf_of_id=str(row.on_behalf_of_id or ""),
    )
    set_instant(event.occurred_at, row.occurred_at)
    return event
