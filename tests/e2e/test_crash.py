"""kill -9 of every process in turn while work goes on: nothing lost, nothing twice.

A client that repeats unanswered calls with the same request_id works through tasks and processes. In each of ten rounds
one process of the stack is killed in the middle of the work. At the end every task and process stands where the script
left it, and every deadline that fell into the rounds was noticed exactly once.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import psutil
import pytest
import pytest_asyncio
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from deploy.local import topology
from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from kejing.operations.v1 import dead_letters_service_pb2, dead_letters_service_pb2_grpc
from kejing.processes.v1 import processes_service_pb2 as orders
from kejing.processes.v1 import processes_service_pb2_grpc as orders_grpc
from kejing.tasks.v1 import follow_ups_service_pb2 as follow_ups
from kejing.tasks.v1 import follow_ups_service_pb2_grpc as follow_ups_grpc
from kejing.tasks.v1 import process_definitions_service_pb2 as definitions
from kejing.tasks.v1 import process_definitions_service_pb2_grpc as definitions_grpc
from kejing.tasks.v1 import process_pb2, task_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records
from kejing.tasks.v1 import process_records_service_pb2_grpc as records_grpc
from kejing.tasks.v1 import tasks_service_pb2 as tasks
from kejing.tasks.v1 import tasks_service_pb2_grpc as tasks_grpc
from tests.support.eventually import eventually
from tests.support.persistence import PersistentClient, a_customer
from tests.support.stack import LocalStack, local_stack
from workflows.api.orders import PATIENCE_SECONDS

ZONE = ZoneInfo("Asia/Shanghai")
SOAK = bool(os.environ.get("KEJING_SOAK"))
TASKS_A_ROUND = 5 if SOAK else 1
PROCESSES = 10 if SOAK else 2
VICTIMS = [*(service.name for service in topology.SERVICES), "nats", "temporal", "postgres"]
OPEN = [task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS]
STAGES = ["kick-off", "set-up", "hand-over"]


@dataclass
class Script:
    """What was done, and so what must be true at the end."""

    client: PersistentClient
    customer_id: str
    done: list[str] = field(default_factory=list)
    postponed: dict[str, datetime] = field(default_factory=dict)
    due: dict[str, datetime] = field(default_factory=dict)
    processes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = self.client.stub(tasks_grpc.TasksServiceStub)
        self.follow_ups = self.client.stub(follow_ups_grpc.FollowUpsServiceStub)
        self.orders = self.client.stub(orders_grpc.ProcessesServiceStub)
        self.records = self.client.stub(records_grpc.ProcessRecordsServiceStub)

    async def create(self, title: str, deadline: datetime) -> Any:
        request = tasks.CreateTaskRequest(request_id=str(uuid4()), customer_id=self.customer_id, title=title,
                                          theme_key="delivery", deadline=to_deadline(deadline))  # fmt: skip
        return (await self.client.ask(self.tasks.CreateTask, request)).task

    async def complete(self, task: Any) -> None:
        told = follow_ups.CreateFollowUpRequest(
            request_id=str(uuid4()), customer_id=self.customer_id, theme_key=task.theme_key, task_id=task.id,
            channel=follow_ups.CHANNEL_CALL, content="done")  # fmt: skip
        await self.client.ask(self.follow_ups.CreateFollowUp, told)
        end = tasks.CompleteTaskRequest(request_id=str(uuid4()), task_id=task.id)
        await self.client.ask(self.tasks.CompleteTask, end)
        self.done.append(task.id)

    async def work(self, number: int) -> None:
        """One task: completed, postponed and left open, or left to become overdue, by turns."""
        now = datetime.now(UTC)
        match number % 3:
            case 0:
                await self.complete(await self.create(f"complete {number}", now + timedelta(days=2)))
            case 1:
                task = await self.create(f"postpone {number}", now + timedelta(days=2))
                later = (now + timedelta(days=5)).replace(microsecond=0)
                request = tasks.PostponeTaskRequest(request_id=str(uuid4()), task_id=task.id,
                                                    deadline=to_deadline(later), reason="asked for it")  # fmt: skip
                await self.client.ask(self.tasks.PostponeTask, request)
                self.postponed[task.id] = later
            case 2:
                deadline = (now + timedelta(seconds=8)).replace(microsecond=0)
                task = await self.create(f"overdue {number}", deadline)
                self.due[task.id] = deadline

    async def start_process(self) -> None:
        request = orders.StartProcessRequest(request_id=str(uuid4()), customer_id=self.customer_id,
                                             definition_key="crash-delivery")  # fmt: skip
        self.processes.append((await self.client.ask(self.orders.StartProcess, request)).process.id)

    async def push(self, process_id: str, round_number: int) -> None:
        """The process's step of a round: three stages, with a pause and a step back in between."""
        order: Any
        match round_number:
            case 1 | 4 | 6 | 8:
                asked = tasks.ListTasksRequest(process_id=process_id, states=OPEN)
                for task in (await self.client.ask(self.tasks.ListTasks, asked)).tasks:
                    await self.complete(task)
                order = orders.AdvanceStageRequest(request_id=str(uuid4()), process_id=process_id)
                await self.client.ask(self.orders.AdvanceStage, order)
            case 2:
                order = orders.PauseProcessRequest(request_id=str(uuid4()), process_id=process_id, reason="holiday")
                await self.client.ask(self.orders.PauseProcess, order)
            case 3:
                order = orders.ResumeProcessRequest(request_id=str(uuid4()), process_id=process_id)
                await self.client.ask(self.orders.ResumeProcess, order)
            case 5:
                order = orders.ReturnToStageRequest(request_id=str(uuid4()), process_id=process_id,
                                                    to_stage_key="set-up", reason="one thing was missing")  # fmt: skip
                await self.client.ask(self.orders.ReturnToStage, order)


# Start, four advances (the last one completes), pause, resume, return: in this order.
EXPECTED_HISTORY = [
    (process_pb2.PROCESS_ACTION_START, "kick-off"),
    (process_pb2.PROCESS_ACTION_ADVANCE, "set-up"),
    (process_pb2.PROCESS_ACTION_PAUSE, "set-up"),
    (process_pb2.PROCESS_ACTION_RESUME, "set-up"),
    (process_pb2.PROCESS_ACTION_ADVANCE, "hand-over"),
    (process_pb2.PROCESS_ACTION_RETURN, "set-up"),
    (process_pb2.PROCESS_ACTION_ADVANCE, "hand-over"),
    (process_pb2.PROCESS_ACTION_ADVANCE, "hand-over"),
]


@pytest.fixture(scope="module")
def stack() -> Any:
    with local_stack() as started:
        started.up()
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def script(stack: LocalStack) -> AsyncIterator[Script]:
    """The script, played to its end with every process killed once."""
    client = PersistentClient(stack.address, stack.home.command_key)
    played = Script(client, await a_customer(client))
    await publish_definition(client)
    for _ in range(PROCESSES):
        await played.start_process()
    for round_number, victim in enumerate(VICTIMS):
        numbers = range(round_number * TASKS_A_ROUND, (round_number + 1) * TASKS_A_ROUND)
        work = [asyncio.ensure_future(played.work(number)) for number in numbers]
        work += [asyncio.ensure_future(played.push(process_id, round_number)) for process_id in played.processes]
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        killed = await asyncio.to_thread(stack.kill, victim)
        await asyncio.gather(*work)
        await asyncio.to_thread(stack.wait_restarted, victim, killed)
    assert (await asyncio.to_thread(stack.status, 120))["ready"]
    yield played
    await client.close()


async def test_every_task_stands_where_the_script_left_it(script: Script) -> None:
    for task_id in script.done:
        task = (await script.client.ask(script.tasks.GetTask, tasks.GetTaskRequest(task_id=task_id))).task
        assert task.state == task_pb2.TASK_STATE_DONE
        told = await script.client.ask(
            script.follow_ups.ListFollowUps, follow_ups.ListFollowUpsRequest(task_id=task_id)
        )
        assert len(told.follow_ups) == 1
    for task_id, deadline in script.postponed.items():
        task = (await script.client.ask(script.tasks.GetTask, tasks.GetTaskRequest(task_id=task_id))).task
        assert task.state == task_pb2.TASK_STATE_TODO
        assert task.deadline_at.ToDatetime(UTC) == deadline
        ledger = await script.client.ask(
            script.tasks.ListPostponements, tasks.ListPostponementsRequest(task_id=task_id)
        )
        assert [entry.number for entry in ledger.postponements] == [1]


async def test_no_task_was_made_twice(script: Script) -> None:
    mine, token = [], ""
    while True:
        page = await script.client.ask(
            script.tasks.ListTasks,
            tasks.ListTasksRequest(customer_id=script.customer_id, page_size=200, page_token=token),
        )
        mine += page.tasks
        token = page.next_page_token
        if not token:
            break
    by_hand = [task.title for task in mine if not task.process_id]
    assert len(by_hand) == len(set(by_hand)) == len(VICTIMS) * TASKS_A_ROUND
    # Three stages, of which two were entered twice because of the return.
    of_processes = Counter(task.process_id for task in mine if task.process_id)
    assert set(of_processes.values()) == {5}


async def test_every_process_came_through_all_its_transitions_once(script: Script) -> None:
    for process_id in script.processes:
        process = (
            await script.client.ask(script.records.GetProcess, records.GetProcessRequest(process_id=process_id))
        ).process
        assert process.state == process_pb2.PROCESS_STATE_COMPLETED
        history = await script.client.ask(
            script.records.ListTransitions, records.ListTransitionsRequest(process_id=process_id)
        )
        assert [(line.action, line.to_stage_key) for line in history.transitions] == EXPECTED_HISTORY
        assert [line.revision for line in history.transitions] == list(range(1, len(EXPECTED_HISTORY) + 1))


async def test_every_deadline_that_passed_was_noticed_exactly_once(script: Script) -> None:
    inbox = script.client.stub(inbox_service_pb2_grpc.InboxServiceStub)

    async def notices() -> Counter[str]:
        items = (await script.client.ask(inbox.ListInbox, inbox_service_pb2.ListInboxRequest(page_size=500))).items
        return Counter(item.task_id for item in items if item.kind == inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE)

    async def all_there() -> bool:
        return set(script.due) <= set(await notices())

    await eventually(all_there, within=120)
    counts = await notices()
    assert {task_id: counts[task_id] for task_id in script.due} == dict.fromkeys(script.due, 1)
    assert set(counts) == set(script.due)
    for task_id in script.due:
        assert (await script.client.ask(script.tasks.GetTask, tasks.GetTaskRequest(task_id=task_id))).task.overdue


async def test_the_clocks_are_those_of_the_rows(stack: LocalStack, script: Script) -> None:
    temporal = await Client.connect(stack.address("temporal"))

    async def status(workflow_id: str) -> WorkflowExecutionStatus | None:
        try:
            return (await temporal.get_workflow_handle(workflow_id).describe()).status
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def ended() -> bool:
        # A task that was closed before its first event was read never needed a clock.
        of_tasks = {await status(f"task/{task_id}") for task_id in script.done}
        of_processes = {await status(f"process/{process_id}") for process_id in script.processes}
        completed = WorkflowExecutionStatus.COMPLETED
        return of_tasks <= {completed, None} and of_processes == {completed}

    await eventually(ended, within=120)
    for task_id in [*script.postponed, *script.due]:
        assert await status(f"task/{task_id}") == WorkflowExecutionStatus.RUNNING


async def test_a_command_gives_one_order_however_often_it_must_be_sent(stack: LocalStack, script: Script) -> None:
    request = orders.StartProcessRequest(request_id=str(uuid4()), customer_id=script.customer_id,
                                         definition_key="crash-delivery")  # fmt: skip
    process_id = (await script.client.ask(script.orders.StartProcess, request)).process.id
    frozen = psutil.Process(stack.pid("tasks"))
    frozen.suspend()
    try:
        order = asyncio.to_thread(stack.kejing, "processes", "pause", process_id, "--reason", "holiday")
        pausing = asyncio.ensure_future(order)
        await asyncio.wait([pausing], timeout=PATIENCE_SECONDS + 1)  # until the first answer says: outcome unknown
    finally:
        frozen.resume()
    paused = await pausing
    assert paused.returncode == 0, paused.stderr
    asked = records.ListTransitionsRequest(process_id=process_id)
    history = (await script.client.ask(script.records.ListTransitions, asked)).transitions
    assert [line.action for line in history] == [process_pb2.PROCESS_ACTION_START, process_pb2.PROCESS_ACTION_PAUSE]


async def test_no_event_was_given_up(script: Script) -> None:
    for service in topology.SERVICES:
        if not service.database:
            continue
        stub = script.client.stub(dead_letters_service_pb2_grpc.DeadLettersServiceStub, service.name)
        answer = await script.client.ask(stub.ListDeadLetters, dead_letters_service_pb2.ListDeadLettersRequest())
        assert list(answer.dead_letters) == [], service.name


def to_deadline(instant: datetime) -> task_pb2.Deadline:
    local = instant.astimezone(ZONE)
    return task_pb2.Deadline(date=Date(year=local.year, month=local.month, day=local.day),
                             time=TimeOfDay(hours=local.hour, minutes=local.minute, seconds=local.second))  # fmt: skip


async def publish_definition(client: PersistentClient) -> None:
    stub = client.stub(definitions_grpc.ProcessDefinitionsServiceStub)
    stages = [
        process_pb2.Stage(key=key, name=key.title(), limit_days=10, tasks=[
            process_pb2.StageTask(key="do", title=f"Do the {key}", deadline_offset_days=5, required=True)])
        for key in STAGES
    ]  # fmt: skip
    draft = definitions.CreateProcessDefinitionRequest(
        request_id=str(uuid4()), key="crash-delivery", name="Delivery", theme_key="delivery", stages=stages
    )
    made = (await stub.CreateProcessDefinition(draft)).definition
    publish = definitions.PublishProcessDefinitionRequest(request_id=str(uuid4()), definition_id=made.id)
    await stub.PublishProcessDefinition(publish)
