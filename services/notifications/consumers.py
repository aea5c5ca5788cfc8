"""What others tell: tasks that somebody must be told of."""

from collections.abc import Mapping
from datetime import UTC
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.tasks.v1 import task_pb2
from kejing.tasks.v1.events_pb2 import TaskNoticed
from services.notifications.storage import inbox
from services.shared.clock import business_date
from services.shared.db import Write
from services.shared.messaging.consumer import Handler

TASK_KINDS = {task_pb2.NOTICE_KIND_REMINDER: "TASK_REMINDER", task_pb2.NOTICE_KIND_OVERDUE: "TASK_OVERDUE"}


def handlers(zone: ZoneInfo) -> Mapping[type[Message], Handler]:
    """`zone`: whose days say who stands in for whom."""

    async def task_noticed(write: Write, event: Event, payload: TaskNoticed) -> None:
        kind = TASK_KINDS[payload.kind]
        deadline = payload.deadline_at.ToDatetime(UTC).isoformat()
        item = {
            "cause": f"task/{payload.task_id}/{kind}/{deadline}",  # a moved deadline is told of anew
            "kind": kind,
            "customer_id": UUID(payload.customer_id) if payload.customer_id else None,
            "task_id": UUID(payload.task_id),
            "facts": {"deadline_at": payload.deadline_at.ToJsonString()},
            "late_by": payload.late_by.ToTimedelta(),
        }
        recipients = [UUID(recipient) for recipient in payload.recipient_ids]
        await inbox.add(write, recipients, item, business_date(write.now, zone))

    return {TaskNoticed: task_noticed}
