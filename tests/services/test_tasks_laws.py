"""Laws that hold of every history of a task and of a process, whatever people do."""

from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kejing.tasks.v1 import process_pb2, process_records_service_pb2, task_pb2, tasks_service_pb2
from services.shared.ids import new_id
from services.tasks.domain.task import TRANSITIONS, TaskAction, TaskState
from services.tasks.storage.tables import tasks
from tests.support.refusals import refusal_of
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_in, make_team, rid, stage, stage_task, uid

FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
ACTIONS = st.lists(st.sampled_from(TaskAction), max_size=8)
MOVES = st.lists(
    st.tuples(
        st.sampled_from([each for each in process_pb2.ProcessAction.values() if each > 1]),
        st.sampled_from(["", "one", "two", "three"]),
        st.booleans(),
    ),
    max_size=10,
)


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


async def tried(call: Any) -> tuple[Any, str]:
    """The answer, or the reason of the refusal."""
    try:
        return await call, ""
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        assert refusal.code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND"), refusal
        return None, refusal.reason


@FEW
@given(st.lists(st.integers(-1, 40), max_size=10))
async def test_the_ledger_has_no_gap_and_the_original_deadline_never_changes(team: Team, days: list[int]) -> None:
    task = await team.task(deadline=deadline_in(days=2))
    present, moves = 2, 0
    for day in days:
        request = tasks_service_pb2.PostponeTaskRequest(
            request_id=rid(), task_id=task.id, deadline=deadline_in(days=day), reason=f"to {day}"
        )
        answer, reason = await tried(team.csm.tasks.PostponeTask(request))
        assert (reason == "") == (day > present)
        if answer:
            present, moves = day, moves + 1
            assert answer.task.original_deadline_at == task.deadline_at
            assert answer.task.postponement_count == moves
    asked = tasks_service_pb2.ListPostponementsRequest(task_id=task.id)
    ledger = list((await team.csm.tasks.ListPostponements(asked)).postponements)
    assert [line.number for line in ledger] == list(range(1, moves + 1))
    steps = [task.deadline_at, *(line.to_deadline_at for line in ledger)]
    assert [line.from_deadline_at for line in ledger] == steps[:-1]
    assert (await team.get(task.id)).deadline_at == steps[-1]


@FEW
@given(ACTIONS)
async def test_no_sequence_of_actions_brings_a_task_into_a_wrong_state(team: Team, actions: list[TaskAction]) -> None:
    task = await team.task()
    state, version, followed, postponed = TaskState.TODO, 1, False, 0
    for action in actions:
        before = state
        allowed = before in TRANSITIONS[action] and (action != TaskAction.COMPLETE or followed)
        _, reason = await tried(_act(team, task, action, 4 + postponed))
        assert (reason == "") == allowed, (action, before, reason)
        if allowed:
            state = TRANSITIONS[action][before]
            followed |= action == TaskAction.FOLLOW_UP
            postponed += action == TaskAction.POSTPONE
            version += action != TaskAction.FOLLOW_UP or state != before
        stored = await team.get(task.id)
        assert task_pb2.TaskState.Name(stored.state) == f"TASK_STATE_{state}"
        assert stored.version == version
        is_open = state in (TaskState.TODO, TaskState.IN_PROGRESS)
        assert stored.HasField("closed_at") != is_open
        assert bool(stored.closed_by) != is_open
        async with team.services.db("tasks").read(unscoped="what is stored") as read:
            notice = (await read.execute(select(tasks.c.next_notice_at).where(tasks.c.id == uid(task.id)))).scalar_one()
        assert (notice is not None) == is_open


@FEW
@given(MOVES, st.booleans())
async def test_a_processs_history_tells_the_same_as_its_row(
    team: Team, moves: list[tuple[Any, str, bool]], allows_skipping: bool
) -> None:
    definition = await team.definition(
        stage("one", [stage_task("must"), stage_task("may", required=False)], limit_days=4),
        stage("two", [stage_task("may", required=False)]),
        stage("three", [stage_task("must")]),
        allows_skipping=allows_skipping,
    )
    records = team.machine.records
    start = process_records_service_pb2.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(), definition_key=definition.key, owner_id=team.csm.id
    )
    process = (await records.RecordStart(start)).process
    for action, to, finish in moves:
        if finish:
            await _finish(team, process)
        action_id = rid()
        await records.KeepReason(process_records_service_pb2.KeepReasonRequest(action_id=action_id, reason="why"))
        move = process_records_service_pb2.RecordTransitionRequest(
            process_id=process.id, expected_revision=process.revision, action_id=action_id, action=action,
            to_stage_key=to,
        )  # fmt: skip
        answer, _ = await tried(records.RecordTransition(move))
        if answer:
            assert answer.process.revision == process.revision + 1
            process = answer.process
    asked = process_records_service_pb2.ListTransitionsRequest(process_id=process.id)
    history = list((await team.csm.records.ListTransitions(asked)).transitions)
    assert [line.revision for line in history] == list(range(1, process.revision + 1))
    assert [line.from_stage_key for line in history[1:]] == [line.to_stage_key for line in history[:-1]]
    assert history[-1].to_stage_key == process.stage_key
    keys = [each.key for each in process.stages]
    reached = keys[: keys.index(process.stage_key) + 1]
    mine = tasks_service_pb2.ListTasksRequest(
        process_id=process.id, states=[task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS], page_size=500
    )
    still_open = [(t.stage_key, t.title) for t in (await team.csm.tasks.ListTasks(mine)).tasks]
    assert len(set(still_open)) == len(still_open)
    assert {stage_key for stage_key, _ in still_open} <= set(reached)
    if process.state == process_pb2.PROCESS_STATE_TERMINATED:
        assert still_open == []


async def _act(team: Team, task: task_pb2.Task, action: TaskAction, day: int) -> Any:
    named: dict[str, Any] = {"request_id": rid(), "task_id": task.id}
    match action:
        case TaskAction.START:
            return await team.csm.tasks.StartTask(tasks_service_pb2.StartTaskRequest(**named))
        case TaskAction.FOLLOW_UP:
            return await team.follow_up(task, team.csm)
        case TaskAction.POSTPONE:
            later = tasks_service_pb2.PostponeTaskRequest(**named, deadline=deadline_in(days=day), reason="x")
            return await team.csm.tasks.PostponeTask(later)
        case TaskAction.REASSIGN:
            same = tasks_service_pb2.ReassignTaskRequest(**named, assignee_id=team.csm.id)
            return await team.csm.tasks.ReassignTask(same)
        case TaskAction.COMPLETE:
            return await team.csm.tasks.CompleteTask(tasks_service_pb2.CompleteTaskRequest(**named))
        case TaskAction.CANCEL:
            return await team.csm.tasks.CancelTask(tasks_service_pb2.CancelTaskRequest(**named, reason="x"))
        case TaskAction.REOPEN:
            return await team.csm.tasks.ReopenTask(tasks_service_pb2.ReopenTaskRequest(**named))


async def _finish(team: Team, process: process_pb2.Process) -> None:
    """Completes what is required and open."""
    mine = tasks_service_pb2.ListTasksRequest(process_id=process.id, states=[task_pb2.TASK_STATE_TODO])
    for task in (await team.csm.tasks.ListTasks(mine)).tasks:
        if task.required:
            await team.follow_up(task, team.csm)
            await team.complete(task)
