"""The workflows' process on real services: events move clocks, orders move processes, losses are made good."""

import asyncio
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
from google.type.timeofday_pb2 import TimeOfDay
from nats.aio.client import Client as Nats
from temporalio.client import Client, WorkflowExecutionStatus

from kejing.tasks.v1 import events_pb2, process_pb2, task_pb2, tasks_service_pb2
from services.shared.clock import utc_now
from services.shared.ids import new_id
from services.shared.messaging.broker import STREAM
from services.shared.messaging.envelope import to_envelope
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


async def test_a_task_has_a_clock_from_its_creation_to_its_completion(team: Team, live_temporal: Client) -> None:
    task = await team.task()
    clock = await opened(live_temporal, task_workflow(task.id))
    assert await clock.static_summary() == "Task · value · ACME"
    request = tasks_service_pb2.PostponeTaskRequest(
        request_id=rid(), task_id=task.id, deadline=deadline_in(days=9), reason="they are away"
    )
    later = (await team.csm.tasks.PostponeTask(request)).task.deadline_at.ToDatetime(tzinfo=utc_now().tzinfo)

    async def moved() -> bool:
        return (await opened(live_temporal, task_workflow(task.id))).typed_search_attributes.get(DUE_AT) == later

    await eventually(moved)
    await team.follow_up(task, team.csm)
    await team.complete(task)
    await ended(live_temporal, task_workflow(task.id))


async def test_a_deadline_that_passes_is_noticed_once(team: Team) -> None:
    soon = (utc_now() + timedelta(hours=8, seconds=2)).replace(microsecond=0)
    at = TimeOfDay(hours=soon.hour, minutes=soon.minute, seconds=soon.second)
    task = await team.task(deadline=deadline_on(soon.date(), at))

    async def noticed() -> list[Any]:
        return await team.told(events_pb2.TaskNoticed, task_id=task.id)

    [event] = await eventually(noticed)
    assert event.kind == task_pb2.NOTICE_KIND_OVERDUE
    assert event.late_by.ToTimedelta() < timedelta(seconds=5)


async def test_an_event_that_comes_after_its_task_was_closed_starts_no_clock(team: Team, live_temporal: Client) -> None:
    """As after a killed worker, whose unacknowledged events come again when later ones have had their effect."""
    task = await team.task()
    await team.follow_up(task, team.csm)
    await team.complete(task)
    await ended(live_temporal, task_workflow(task.id))
    first_run = await described(live_temporal, task_workflow(task.id))
    [created, *_] = await team.told(events_pb2.TaskChanged, facts__task_id=task.id)
    late = to_envelope(created, occurred_at=utc_now() - timedelta(minutes=1), actor="", request_id="")
    await publish(team, late.SerializeToString())
    following = await team.task()
    await opened(live_temporal, task_workflow(following.id))
    now = await described(live_temporal, task_workflow(task.id))
    assert first_run is not None
    assert now is not None
    assert now.run_id == first_run.run_id


async def test_what_nobody_can_read_holds_nobody_up(team: Team, processes: Processes, live_temporal: Client) -> None:
    await publish(team, b"\xff\xff not an event")
    task = await team.task()
    await opened(live_temporal, task_workflow(task.id))


async def test_a_mass_of_tasks_delays_no_person(team: Team, processes: Processes, live_temporal: Client) -> None:
    facts = [task_pb2.TaskFacts(task_id=rid(), customer_id=str(new_id()), version=1, state=task_pb2.TASK_STATE_TODO,
                                origin=task_pb2.TASK_ORIGIN_RULE) for _ in range(150)]  # fmt: skip
    for one in facts:
        one.deadline_at.FromDatetime(utc_now() + timedelta(days=9))
    events = [events_pb2.TaskChanged(facts=one) for one in facts]
    fresh = utc_now() + timedelta(minutes=5)  # late ones are asked for at tasks, which knows nothing of these
    await publish(team, *(to_envelope(e, occurred_at=fresh, actor="", request_id="").SerializeToString()
                          for e in events))  # fmt: skip
    task = await team.task()
    await opened(live_temporal, task_workflow(task.id))
    assert await described(live_temporal, task_workflow(facts[-1].task_id)) is None
    await opened(live_temporal, task_workflow(facts[-1].task_id))


async def publish(team: Team, *events: bytes) -> None:
    """As the tasks service itself: nobody else may."""
    nats = Nats()
    await nats.connect(await team.services.infrastructure.nats_url("tasks"))
    await asyncio.gather(*(nats.jetstream().publish("kejing.tasks.task.changed", e, stream=STREAM) for e in events))
    await nats.close()


async def test_the_sweep_finds_lost_workflows(
    team: Team, csm: Any, live_temporal: Client, processes: Processes
) -> None:
    process, task = await start(team, csm), await team.task()
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(live_temporal, workflow_id)
        await live_temporal.get_workflow_handle(workflow_id).terminate()
    clients = processes._clients
    await eventually(lambda: sweep.start_missing_processes(live_temporal, clients, ZONE.key))  # lists lag a little
    await opened(live_temporal, process_workflow(process.id))
    # The clock of the task is missed when its first notice is a minute late.
    reminder = task.deadline_at.ToDatetime(tzinfo=utc_now().tzinfo) - timedelta(days=1)
    await sweep.wake_late_clocks(live_temporal, clients, ZONE.key, reminder + timedelta(seconds=50))
    gone = await described(live_temporal, task_workflow(task.id))
    assert gone is not None
    assert gone.status is WorkflowExecutionStatus.TERMINATED
    assert await sweep.wake_late_clocks(live_temporal, clients, ZONE.key, reminder + timedelta(seconds=70)) >= 1
    await opened(live_temporal, task_workflow(task.id))


async def test_another_temporal_is_filled_from_the_rows(
    team: Team, csm: Any, live_temporal: Client, processes: Processes
) -> None:
    nats, clients = processes._nats, processes._clients
    process, task = await start(team, csm), await team.task()
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(live_temporal, workflow_id)
    await eventually(lambda: _known(live_temporal, processes))
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await live_temporal.get_workflow_handle(workflow_id).terminate()
    bucket = await nats.jetstream().key_value(rebuild.BUCKET)
    await bucket.put(rebuild.KEY, b"the namespace of before")
    assert await rebuild.rebuild_if_new(live_temporal, nats, clients, ZONE) is True
    for workflow_id in (process_workflow(process.id), task_workflow(task.id)):
        await opened(live_temporal, workflow_id)
    assert await rebuild.rebuild_if_new(live_temporal, nats, clients, ZONE) is False


async def _known(live_temporal: Client, processes: Processes) -> bool:
    return not await rebuild.rebuild_if_new(live_temporal, processes._nats, processes._clients, ZONE)


async def test_while_temporal_is_away_orders_are_unknown_and_effects_wait(
    team: Team, csm: Any, live_temporal: Client, services: RunningServices
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
    await opened(live_temporal, task_workflow(task.id))

    async def carried_out() -> bool:
        call = csm.AdvanceStage(request)  # again, until there is an answer
        return await call.code() is grpc.StatusCode.OK and (await call).process.stage_key == "review"

    assert await eventually(carried_out)
    assert (await get(team, process.id)).revision == 2
