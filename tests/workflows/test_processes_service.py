"""Orders to processes, by gRPC, on real services and the real Temporal."""

import asyncio
from typing import Any

from temporalio.client import Client

from kejing.processes.v1 import processes_service_pb2 as orders
from kejing.tasks.v1 import process_pb2, tasks_service_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records
from kejing.tasks.v1.process_records_service_pb2 import ListTransitionsRequest
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.tasks import Team, rid, stage, stage_task
from tests.workflows.live import advance, ended, get, opened, start
from workflows.names import STAGE, process_workflow

RUNNING = process_pb2.PROCESS_STATE_RUNNING


async def test_a_process_from_start_to_end(team: Team, csm: Any, live_temporal: Client) -> None:
    process = await start(team, csm)
    assert (process.state, process.stage_key, process.owner_id) == (RUNNING, "kickoff", team.csm.id)
    shown = await opened(live_temporal, process_workflow(process.id))
    assert await shown.static_summary() == "Standard delivery"  # the customers service doesn't know this customer
    moved = (await csm.AdvanceStage(advance(process))).process
    assert moved == await get(team, process.id)
    assert moved.stage_key == "review"

    async def shows() -> bool:
        return (await opened(live_temporal, process_workflow(process.id))).typed_search_attributes.get(
            STAGE
        ) == "review"

    await eventually(shows)
    done = (await csm.AdvanceStage(advance(process))).process
    assert done.state == process_pb2.PROCESS_STATE_COMPLETED
    await ended(live_temporal, process_workflow(process.id))
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
    assert [line.actor for line in history] == [team.csm.id, "machine:processes"]


async def test_reasons_are_kept_and_never_pass_through_temporal(team: Team, csm: Any, live_temporal: Client) -> None:
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
    recorded = await live_temporal.get_workflow_handle(process_workflow(process.id)).fetch_history()
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


async def test_a_start_is_repeated_after_its_owner_has_handed_over(team: Team, csm: Any) -> None:
    owner = await team.employee("owner")
    customer = await team.customer(owners={"CSM": team.csm.id, "ANALYST": owner.id})
    request = orders.StartProcessRequest(
        request_id=rid(), customer_id=customer, owner_id=owner.id,
        definition_key=(await team.definition(stage("kickoff"), stage("review"))).key,
    )  # fmt: skip
    process = (await csm.StartProcess(request)).process
    await team.leave(owner, successor=team.csm)
    moved = (await csm.AdvanceStage(advance(process))).process
    assert (moved.owner_id, moved.first_owner_id) == (team.csm.id, owner.id)
    assert (await csm.StartProcess(request)).process == moved
    request.owner_id = team.csm.id
    assert (await refused(csm.StartProcess(request))).reason == "REQUEST_ID_REUSED"


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
    team: Team, csm: Any, live_temporal: Client
) -> None:
    process = await start(team, csm)
    await live_temporal.get_workflow_handle(process_workflow(process.id)).terminate()
    assert (await csm.AdvanceStage(advance(process))).process.stage_key == "review"
    shown = await opened(live_temporal, process_workflow(process.id))
    assert await shown.static_summary() == "Standard delivery · ACME"


async def test_a_row_that_moved_without_its_workflow_is_taken_as_it_is(team: Team, csm: Any) -> None:
    """As after a restored backup of Temporal."""
    process = await start(team, csm)
    action_id = rid()
    await team.machine.records.KeepReason(records.KeepReasonRequest(action_id=action_id, reason="elsewhere"))
    elsewhere = records.RecordTransitionRequest(
        process_id=process.id, expected_revision=1, action_id=action_id, action=process_pb2.PROCESS_ACTION_PAUSE
    )
    await team.machine.records.RecordTransition(elsewhere)
    refusal = await refused(csm.AdvanceStage(advance(process)))
    assert refusal.reason == "PROCESS_STATE"
    await team.machine.records.RecordTransition(
        records.RecordTransitionRequest(
            process_id=process.id, expected_revision=2, action_id=rid(), action=process_pb2.PROCESS_ACTION_RESUME
        )
    )
    held = orders.PauseProcessRequest(request_id=rid(), process_id=process.id, reason="here")
    assert (await csm.PauseProcess(held)).process.revision == 4


async def test_a_repeat_is_known_to_a_workflow_that_was_started_anew(
    team: Team, csm: Any, live_temporal: Client
) -> None:
    process = await start(team, csm)
    request = orders.PauseProcessRequest(request_id=rid(), process_id=process.id, reason="they move house")
    paused = (await csm.PauseProcess(request)).process
    await live_temporal.get_workflow_handle(process_workflow(process.id)).terminate()
    assert (await csm.PauseProcess(request)).process == paused
    another = orders.PauseProcessRequest(request_id=rid(), process_id=process.id, reason="they move house")
    assert (await refused(csm.PauseProcess(another))).reason == "PROCESS_STATE"
