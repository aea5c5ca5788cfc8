"""What a process does in the world: it opens, reads and moves its row in the tasks service."""

from datetime import UTC

from temporalio import activity

from kejing.tasks.v1 import process_pb2, process_records_service_pb2, task_pb2, tasks_service_pb2
from services.shared.rpc.client import on_behalf_of
from workflows.business_process.records import to_record
from workflows.business_process.types import ProcessRecord, Recorded, StartOrder, Transition
from workflows.clients import Clients, ask

PAGE = 500


class ProcessActivities:
    def __init__(self, clients: Clients) -> None:
        self._records = clients.process_records
        self._tasks = clients.tasks

    @activity.defn
    async def record_start(self, process_id: str, order: StartOrder) -> ProcessRecord:
        """Opens the row in its first stage, with that stage's tasks. A repeat answers the row."""
        request = process_records_service_pb2.RecordStartRequest(
            process_id=process_id,
            customer_id=order.customer_id,
            definition_key=order.definition_key,
            owner_id=order.owner_id,
        )
        answer = await ask(self._records.RecordStart(request, metadata=on_behalf_of(order.actor, order.acting_for)))
        return to_record(answer.process)

    @activity.defn
    async def load_process(self, process_id: str) -> ProcessRecord:
        """The row as it is."""
        request = process_records_service_pb2.GetProcessRequest(process_id=process_id)
        return to_record((await ask(self._records.GetProcess(request))).process)

    @activity.defn
    async def record_transition(self, transition: Transition) -> Recorded:
        """Moves the row, with the tasks that this creates or cancels. An action that was recorded is answered again."""
        request = process_records_service_pb2.RecordTransitionRequest(
            process_id=transition.process_id,
            expected_revision=transition.expected_revision,
            action_id=transition.action_id,
            action=process_pb2.ProcessAction.Value(f"PROCESS_ACTION_{transition.action}"),
            to_stage_key=transition.to_stage_key,
        )
        person = on_behalf_of(transition.actor, transition.acting_for)
        answer = await ask(self._records.RecordTransition(request, metadata=person))
        return Recorded(answer.recorded, to_record(answer.process))

    @activity.defn
    async def required_tasks_done(self, record: ProcessRecord) -> bool:
        """Whether the present stage has had required tasks since it was entered, and none is open."""
        done = False
        request = tasks_service_pb2.ListTasksRequest(process_id=record.id, page_size=PAGE)
        while True:
            page = await ask(self._tasks.ListTasks(request))
            for task in page.tasks:
                if task.stage_key != record.stage_key or not task.required:
                    continue
                if task.state in (task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS):
                    return False
                closed_here = task.closed_at.ToDatetime(UTC) >= record.stage_entered_at
                done = done or (task.state == task_pb2.TASK_STATE_DONE and closed_here)
            if not page.next_page_token:
                return done
            request.page_token = page.next_page_token
