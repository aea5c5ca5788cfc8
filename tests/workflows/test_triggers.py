"""The workflows' process on real services: events move clocks, orders move processes, losses are made good."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest_asyncio
from google.type.timeofday_pb2 import TimeOfDay
from nats.aio.client import Client as Nats
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kejing.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from kejing.processes.v1 import processes_service_pb2 as orders
from kejing.processes.v1.processes_service_pb2_grpc import ProcessesServiceStub
from kejing.tasks.v1 import events_pb2, process_pb2, task_pb2, tasks_service_pb2
from kejing.tasks.v1.process_records_service_pb2 import GetProcessRequest, ListTransitionsRequest
from services.shared.clock import utc_now
from services.shared.ids import new_id
from services.shared.messaging.broker import STREAM
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_in, deadline_on, make_team, rid, stage, stage_task
from workflows import rebuild, sweep
from workflows.main import Processes, connect_temporal
from workflows.names import DUE_AT, STAGE, process_workflow, task_workflow
from workflows.settings import WorkflowsSettings

ZONE = ZoneInfo("Asia/Shanghai")
RUNNING = process_pb2.PROCESS_STATE_RUNNING


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def processes(services: RunningServices) -> AsyncIterator[Processes]:
    """The process, in this one."""
    await services.start("tasks", "customers")
    settings = WorkflowsSettings(
        bind=services.address("processes"),
        nats_url=SecretStr(await services.infrastructure.nats_url("processes")),
        command_key_file=services.infrastructure.command_key_file,
        temporal_address=await services.infrastructure.temporal_address(),
        identity_address=services.address("identity"),
        tasks_address=services.address("tasks"),
        customers_address=services.address("customers"),
        health_address=services.address("health"),
        notifications_address=services.address("notifications"),
    )
    part = Processes(settings, await connect_temporal(settings))
    await part.start()
    yield part
    await part.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(services: RunningServices, processes: Processes) -> Team:
    return await make_team(services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def csm(team: Team, services: RunningServices) -> Any:
    """The CSM's stub of ProcessesService."""
    identity = await services.stub(identity_service_pb2_grpc.IdentityServiceStub)
    found = await identity.GetEmployee(identity_service_pb2.GetEmployeeRequest(employee_id=team.csm.id))
    return await services.stub(ProcessesServiceStub, f"employee:{found.employee.login}")


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


async def test_a_task_has_a_clock_from_its_creation_to_its_completion(team: Team, temporal: Client) -> None:
    task = await team.task()
    clock = await opened(temporal, task_workflow(task.id))
    assert await clock.static_summary() == "Task · value · ACME"
    request = tasks_service_pb2.PostponeTaskRequest(
        request_id=rid(), task_id=task.id, deadline=deadline_in(days=9), reason="they are away"
    )
    later = (await team.csm.tasks.PostponeTask(request)).task.deadline_at.ToDatetime(tzinfo=utc_now().tzinfo)

    async def moved() -> bool:
        return (await opened(temporal, task_workflow(task.id))).typed_search_attributes.get(DUE_AT) == later

    await eventually(moved)
    await team.follow_up(task, team.csm)
    await team.complete(task)
    await ended(temporal, task_workflow(task.id))


async def test_a_deadline_that_passes_is_noticed_once(team: Team) -> None:
    soon = (utc_now() + timedelta(hours=8, seconds=2)).replace(microsecond=0)
    at = TimeOfDay(hours=soon.hour, minutes=soon.minute, seconds=soon.second)
    task = await team.task(deadline=deadline_on(soon.date(), at))

    async def noticed() -> list[Any]:
        return await team.told(events_pb2.TaskNoticed, task_id=task.id)

    [event] = await eventually(noticed)
    assert event.kind == task_pb2.NOTICE_KIND_OVERDUE
    assert event.late_by.ToTimedelta() < timedelta(seconds=5)


async def test_what_nobody_can_read_holds_nobody_up(team: Team, processes: Processes, temporal: Client) -> None:
    # Publishing as the tasks service itself: nobody else may.
    nats = Nats()
    await nats.connect(await team.services.infrastructure.nats_url("tasks"))
    await nats.jetstream().publish("kejing.tasks.task.changed", b"\xff\xff not an event", stream=STREAM)
    await nats.close()
    task = await team.task()
    await opened(temporal, task_workflow(task.id))


async def start(team: Team, csm: Any, *stages: process_pb2.Stage, request_id: str = "") -> process_pb2.Process:
    definition = await team.definition(*(stages or (stage("kickoff"), stage("review"))))
    request = orders.StartProcessRequest(
        request_id=request_id or rid(), customer_id=await team.customer(), definition_key=definition.key
    )
    process: process_pb2.Process = (await csm.StartProcess(request)).process
    return process


async def get(team: Team, process_id: str) -> process_pb2.Process:
    answer = await team.csm.records.GetProcess(GetProcessRequest(process_id=process_id))
    process: process_pb2.Process = answer.process
    return process


def advance(process: process_pb2.Process, **values: Any) -> orders.AdvanceStageRequest:
    return orders.AdvanceStageRequest(**{"request_id": rid(), "process_id": process.id, **values})


async def test_a_process_from_start_to_end(team: Team, csm: Any, temporal: Client) -> None:
    process = await start(team, csm)
    assert (process.state, process.stage_key, process.owner_id) == (RUNNING, "kickoff", team.csm.id)
    shown = await opened(temporal, process_workflow(process.id))
    assert await shown.static_summary() == "Standard delivery"  # the customers service doesn't know this customer
    moved = (await csm.AdvanceStage(advance(process))).process
    assert moved == await get(team, process.id)
    assert moved.stage_key == "review"

    async def shows() -> bool:
        return (await opened(temporal, process_workflow(process.id))).typed_search_attributes.get(STAGE) == "review"

    await eventually(shows)
    done = (await csm.AdvanceStage(advance(process))).process
    assert done.state == process_pb2.PROCESS_STATE_COMPLETED
    await ended(temporal, process_workflow(process.id))
    history = await team.csm.records.ListTransitions(ListTransitionsRequest(process_id=process.id))
    assert [line.actor for line in history.transitions] == [team.csm.id] * 3


async def test_an_open_required_task_is_named(team: Team, csm: Any) -> None:
    process = await start(team, csm, stage("kickoff", [stage_task("call")]), stage("review"))
    [task] = (await team.csm.tasks.ListTasks(tasks_service_pb2.ListTasksRequest(process_id=process.id))).tasks
    request = advance(process)
    refusal = await refused(csm.AdvanceStage(request))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "REQUIRED_TASKS_OPEN")
    assert refusal.fields == (task.id,)
    await team.follow_up(task, team.csm)
    await team.complete(task)
    assert (await csm.AdvanceStage(request)).process.stage_key == "review"


async def test_it_moves_on_by_itself_when_its_last_required_task_is_done(team: Team, csm: Any) -> None:
    tasks = [stage_task("call"), stage_task("visit"), stage_task("extra", required=False)]
    process = await start(team, csm, stage("kickoff", tasks, advances_by_itself=True), stage("review"))
    made = (await team.csm.tasks.ListTasks(tasks_service_pb2.ListTasksRequest(process_id=process.id))).tasks
    for task in (task for task in made if task.required):
        assert (await get(team, process.id)).stage_key == "kickoff"
        await team.follow_up(task, team.csm)
        await team.complete(task)

    async def in_review() -> bool:
        return (await get(team, process.id)).stage_key == "review"

    await eventually(in_review)
    history = (await team.csm.records.ListTransitions(ListTransitionsRequest(process_id=process.id))).transitions
    assert [line.actor for line in history] == [team.csm.id, "machine:workflows"]


async def test_reasons_are_kept_and_never_pass_through_temporal(team: Team, csm: Any, temporal: Client) -> None:
    process = await start(team, csm)
    reason = "their director Wang is ill"
    held = orders.PauseProcessRequest(request_id=rid(), process_id=process.id, reason=reason)
    assert (await csm.PauseProcess(held)).process.state == process_pb2.PROCESS_STATE_PAUSED
    refusal = await refused(csm.AdvanceStage(advance(process)))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "PROCESS_STATE")
    await csm.ResumeProcess(orders.ResumeProcessRequest(request_id=rid(), process_id=process.id))
    await csm.AdvanceStage(advance(process))
    back = orders.ReturnToStageRequest(
        request_id=rid(), process_id=process.id, to_stage_key="kickoff", reason="Wang again"
    )
    assert (await csm.ReturnToStage(back)).process.stage_key == "kickoff"
    given_up = orders.TerminateProcessRequest(request_id=rid(), process_id=process.id, reason="Wang left")
    assert (await csm.TerminateProcess(given_up)).process.state == process_pb2.PROCESS_STATE_TERMINATED
    history = (await team.csm.records.ListTransitions(ListTransitionsRequest(process_id=process.id))).transitions
    assert [line.reason for line in history] == ["", reason, "", "", "Wang again", "Wang left"]
    recorded = await temporal.get_workflow_handle(process_workflow(process.id)).fetch_history()
    assert "Wang" not in recorded.to_json()


async def test_repeats_are_answered_and_not_done_again(team: Team, csm: Any) -> None:
    definition = await team.definition(stage("kickoff"), stage("review"))
    request = orders.StartProcessRequest(
        request_id=rid(), customer_id=await team.customer(), definition_key=definition.key
    )
    processes = await asyncio.gather(*(csm.StartProcess(request) for _ in range(3)))
    [process_id] = {answer.process.id for answer in processes}
    other = orders.StartProcessRequest(request_id=request.request_id, customer_id=await team.customer(),
                                       definition_key=definition.key)  # fmt: skip
    refusal = await refused(csm.StartProcess(other))
    assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")

    step = orders.AdvanceStageRequest(request_id=rid(), process_id=process_id)
    answers = await asyncio.gather(*(csm.AdvanceStage(step) for _ in range(3)))
    assert {answer.process.revision for answer in answers} == {2}
    different = orders.AdvanceStageRequest(request_id=step.request_id, process_id=process_id, to_stage_key="review")
    refusal = await refused(csm.AdvanceStage(different))
    assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")

    last = orders.AdvanceStageRequest(request_id=rid(), process_id=process_id)
    completed = (await csm.AdvanceStage(last)).process
    assert (await csm.AdvanceStage(last)).process == completed  # also once its workflow has ended
    assert (await csm.StartProcess(request)).process == completed
    refusal = await refused(csm.AdvanceStage(orders.AdvanceStageRequest(request_id=rid(), process_id=process_id)))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "PROCESS_STATE")


async def test_wrong_orders(team: Team, csm: Any) -> None:
    unknown = orders.AdvanceStageRequest(request_id=rid(), process_id=str(new_id()))
    refusal = await refused(csm.AdvanceStage(unknown))
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "PROCESS_NOT_FOUND")
    nothing = orders.StartProcessRequest(request_id=rid(), customer_id=await team.customer(), definition_key="nothing")
    refusal = await refused(csm.StartProcess(nothing))
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "PROCESS_DEFINITION_NOT_FOUND")
    process = await start(team, csm)
    refusal = await refused(csm.AdvanceStage(advance(process, to_stage_key="nowhere")))
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "STAGE_NOT_FOUND")
    assert (await get(team, process.id)).revision == 1


async def test_a_process_that_lost_its_workflow_gets_one_with_the_next_order(
    team: Team, csm: Any, temporal: Client
) -> None:
    process = await start(team, csm)
    await temporal.get_workflow_handle(process_workflow(process.id)).terminate()
    assert (await csm.AdvanceStage(advance(process))).process.stage_key == "review"
    shown = await opened(temporal, process_workflow(process.id))
    assert await shown.static_summary() == "Standard delivery · ACME"


async def test_the_sweep_finds_lost_workflows(team: Team, csm: Any, temporal: Client, processes: Processes) -> None:
    process, task = await start(team, csm), await team.task()
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(temporal, workflow_id)
        await temporal.get_workflow_handle(workflow_id).terminate()
    clients = processes._clients
    assert await sweep.start_missing_processes(temporal, clients, ZONE.key) >= 1
    await opened(temporal, process_workflow(process.id))
    # The clock of the task is missed when its first notice is a minute late.
    reminder = task.deadline_at.ToDatetime(tzinfo=utc_now().tzinfo) - timedelta(days=1)
    await sweep.wake_late_clocks(temporal, clients, ZONE.key, reminder + timedelta(seconds=50))
    gone = await described(temporal, task_workflow(task.id))
    assert gone is not None
    assert gone.status is WorkflowExecutionStatus.TERMINATED
    assert await sweep.wake_late_clocks(temporal, clients, ZONE.key, reminder + timedelta(seconds=70)) >= 1
    await opened(temporal, task_workflow(task.id))


async def test_another_temporal_is_filled_from_the_rows(
    team: Team, csm: Any, temporal: Client, processes: Processes
) -> None:
    nats, clients = processes._nats, processes._clients
    process, task = await start(team, csm), await team.task()
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(temporal, workflow_id)
    await eventually(lambda: _known(temporal, processes))
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await temporal.get_workflow_handle(workflow_id).terminate()
    bucket = await nats.jetstream().key_value(rebuild.BUCKET)
    await bucket.put(rebuild.KEY, b"the namespace of before")
    assert await rebuild.rebuild_if_new(temporal, nats, clients, ZONE) is True
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(temporal, workflow_id)
    assert await rebuild.rebuild_if_new(temporal, nats, clients, ZONE) is False


async def _known(temporal: Client, processes: Processes) -> bool:
    return not await rebuild.rebuild_if_new(temporal, processes._nats, processes._clients, ZONE)


async def test_while_temporal_is_away_orders_are_unknown_and_effects_wait(
    team: Team, csm: Any, temporal: Client, services: RunningServices
) -> None:
    process = await start(team, csm)
    await services.infrastructure.kill("temporal")
    try:
        task = await team.task()
        request = advance(process)
        refusal = await refused(csm.AdvanceStage(request, timeout=3))
        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
    finally:
        await services.infrastructure.restart("temporal")
    await opened(temporal, task_workflow(task.id))

    async def carried_out() -> bool:
        return (await csm.AdvanceStage(request)).process.stage_key == "review"

    assert await eventually(carried_out)
    assert (await get(team, process.id)).revision == 2
