"""The workflows' process on real services: events move clocks, orders move processes, losses are made good."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from google.type.timeofday_pb2 import TimeOfDay
from nats.aio.client import Client as Nats
from temporalio.client import Client, WorkflowExecutionStatus

from kejing.tasks.v1 import events_pb2, process_pb2, task_pb2, tasks_service_pb2
from services.shared.clock import utc_now
from services.shared.messaging.broker import STREAM
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_in, deadline_on, rid
from tests.workflows.live import advance, described, ended, get, opened, start
from workflows import rebuild, sweep
from workflows.main import Processes
from workflows.names import DUE_AT, process_workflow, task_workflow

ZONE = ZoneInfo("Asia/Shanghai")
RUNNING = process_pb2.PROCESS_STATE_RUNNING


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
