"""What a task's clock does in the world: it rings."""

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import activity

from kejing.tasks.v1 import task_pb2, tasks_service_pb2
from workflows.clients import Clients, ask
from workflows.task_lifecycle.facts import to_clock
from workflows.task_lifecycle.types import Notice, RingAnswer, RingOutcome

CLOCKS_DIFFER = "NOT_DUE"
"""The service's clock is behind Temporal's: a little later the notice is due there too."""


class TaskActivities:
    def __init__(self, clients: Clients) -> None:
        self._tasks = clients.tasks

    @activity.defn
    async def notice_task(self, task_id: str, notice: Notice) -> RingAnswer:
        """Tells the service that a reminder or the deadline is due. Rings once however often it is called."""
        request = tasks_service_pb2.NoticeTaskRequest(
            task_id=task_id, kind=task_pb2.NoticeKind.Value(f"NOTICE_KIND_{notice.kind}")
        )
        due_at, deadline_at = Timestamp(), Timestamp()
        due_at.FromDatetime(notice.due_at)
        deadline_at.FromDatetime(notice.deadline_at)
        request.due_at.CopyFrom(due_at)
        request.deadline_at.CopyFrom(deadline_at)
        answer = await ask(self._tasks.NoticeTask(request), again=[CLOCKS_DIFFER])
        outcome = tasks_service_pb2.NoticeOutcome.Name(answer.outcome).removeprefix("NOTICE_OUTCOME_")
        return RingAnswer(RingOutcome(outcome), to_clock(answer.facts))
