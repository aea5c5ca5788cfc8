"""The records of processes by gRPC: starting, moving, and the tasks that come and go with stages."""

import asyncio
from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kejing.tasks.v1 import events_pb2, process_pb2, task_pb2, tasks_service_pb2
from kejing.tasks.v1 import process_definitions_service_pb2 as definitions_pb
from kejing.tasks.v1 import process_records_service_pb2 as pb
from services.shared.ids import new_id
from services.tasks.storage.tables import kept_reasons
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, make_team, rid, stage, stage_task

ADVANCE, RETURN = process_pb2.PROCESS_ACTION_ADVANCE, process_pb2.PROCESS_ACTION_RETURN
PAUSE, RESUME = process_pb2.PROCESS_ACTION_PAUSE, process_pb2.PROCESS_ACTION_RESUME
TERMINATE = process_pb2.PROCESS_ACTION_TERMINATE
RUNNING, PAUSED = process_pb2.PROCESS_STATE_RUNNING, process_pb2.PROCESS_STATE_PAUSED
COMPLETED, TERMINATED = process_pb2.PROCESS_STATE_COMPLETED, process_pb2.PROCESS_STATE_TERMINATED
AHEAD, CURRENT = process_pb2.STAGE_PROGRESS_AHEAD, process_pb2.STAGE_PROGRESS_CURRENT
PASSED, SKIPPED = process_pb2.STAGE_PROGRESS_DONE, process_pb2.STAGE_PROGRESS_SKIPPED
OPEN = [task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS]


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


class Flow:
    """One process, moved as a workflow does it."""

    def __init__(self, team: Team, process: process_pb2.Process) -> None:
        self.team = team
        self.process = process

    async def move(
        self,
        action: process_pb2.ProcessAction.ValueType,
        to: str = "",
        *,
        why: str = "",
        action_id: str = "",
        revision: int = 0,
        by: str = "",
    ) -> pb.RecordTransitionResponse:
        action_id = action_id or rid()
        if why:
            await self.team.machine.records.KeepReason(pb.KeepReasonRequest(action_id=action_id, reason=why))
        request = pb.RecordTransitionRequest(
            process_id=self.process.id,
            expected_revision=revision or self.process.revision,
            action_id=action_id,
            action=action,
            to_stage_key=to,
        )
        metadata = (("x-kejing-on-behalf-of", by),) if by else ()
        answer: pb.RecordTransitionResponse = await self.team.machine.records.RecordTransition(
            request, metadata=metadata
        )
        self.process = answer.process
        return answer

    async def tasks(self, *, open_only: bool = True) -> list[task_pb2.Task]:
        request = tasks_service_pb2.ListTasksRequest(process_id=self.process.id, states=OPEN if open_only else [])
        return list((await self.team.csm.tasks.ListTasks(request)).tasks)

    async def finish_tasks(self) -> None:
        for task in await self.tasks():
            await self.team.follow_up(task, self.team.manager)
            await self.team.complete(task)

    async def history(self) -> list[process_pb2.ProcessTransition]:
        request = pb.ListTransitionsRequest(process_id=self.process.id)
        return list((await self.team.csm.records.ListTransitions(request)).transitions)

    def progress(self) -> list[int]:
        return [each.progress for each in self.process.stages]


async def start(team: Team, *stages: process_pb2.Stage, owners: dict[str, str] | None = None, **changes: Any) -> Flow:
    definition = await team.definition(*stages, **changes)
    request = pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(owners=owners), definition_key=definition.key,
        owner_id=team.csm.id,
    )  # fmt: skip
    return Flow(team, (await team.machine.records.RecordStart(request)).process)


THREE = (
    stage("kickoff", [stage_task("meet"), stage_task("greet", required=False)], limit_days=5),
    stage("setup", [stage_task("install", assignee_role="ANALYST")], limit_days=10),
    stage("handover"),
)


async def test_a_started_process_is_in_its_first_stage_with_that_stages_tasks(team: Team) -> None:
    flow = await start(team, *THREE)
    process = flow.process
    assert (process.state, process.stage_key, process.revision) == (RUNNING, "kickoff", 1)
    assert (process.customer_label, process.definition_name, process.theme_key) == (
        "ACME", "Standard delivery", "delivery",
    )  # fmt: skip
    assert flow.progress() == [CURRENT, AHEAD, AHEAD]
    due = process.stage_due_at.ToDatetime(UTC) + timedelta(hours=8)
    entered = process.stage_entered_at.ToDatetime(UTC) + timedelta(hours=8)
    assert ((due.date() - entered.date()).days, due.hour) == (6, 0)  # the end of the fifth day
    tasks = await flow.tasks()
    assert {(t.title, t.required, t.stage_key, t.assignee_id) for t in tasks} == {
        ("meet", True, "kickoff", team.csm.id),
        ("greet", False, "kickoff", team.csm.id),
    }
    assert all(t.origin == task_pb2.TASK_ORIGIN_PROCESS and t.theme_key == "delivery" for t in tasks)
    deadline = tasks[0].deadline_at.ToDatetime(UTC) + timedelta(hours=8)
    assert ((deadline.date() - entered.date()).days, deadline.hour) == (3, 0)
    assert len(await team.told(events_pb2.ProcessChanged, process__id=process.id)) == 1
    assert len(await team.told(events_pb2.TaskChanged, facts__process_id=process.id)) == 2


async def test_a_repeated_start_is_answered_with_the_row(team: Team) -> None:
    definition = await team.definition(*THREE)
    request = pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(), definition_key=definition.key, owner_id=team.csm.id
    )
    answers = await asyncio.gather(*(team.machine.records.RecordStart(request) for _ in range(4)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert len(await Flow(team, answers[0].process).tasks()) == 2


async def test_nothing_starts_by_a_definition_that_is_not_published(team: Team) -> None:
    request = pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(), definition_key="no-such", owner_id=team.csm.id
    )
    assert (await refused(team.machine.records.RecordStart(request))).reason == "PROCESS_DEFINITION_NOT_FOUND"
    assert (await refused(team.csm.records.RecordStart(request))).code == "PERMISSION_DENIED"


async def test_a_stage_is_left_only_when_its_required_tasks_are_done(team: Team) -> None:
    flow = await start(team, *THREE)
    refusal = await refused(flow.move(ADVANCE))
    [required] = [task for task in await flow.tasks() if task.required]
    assert (refusal.code, refusal.reason, refusal.fields) == (
        "FAILED_PRECONDITION", "REQUIRED_TASKS_OPEN", (required.id,),
    )  # fmt: skip
    cancel = tasks_service_pb2.CancelTaskRequest(request_id=rid(), task_id=required.id, reason="No wish")
    assert (await refused(team.csm.tasks.CancelTask(cancel))).reason == "TASK_REQUIRED"
    await team.follow_up(required, team.csm)
    await team.complete(required)
    answer = await flow.move(ADVANCE, by=team.colleague.id)
    assert (answer.recorded, flow.process.stage_key, flow.process.revision) == (True, "setup", 2)
    assert flow.progress() == [PASSED, CURRENT, AHEAD]
    assert {task.title for task in await flow.tasks()} == {"greet", "install"}
    assert [(line.revision, line.from_stage_key, line.to_stage_key, line.actor) for line in await flow.history()] == [
        (1, "", "kickoff", "machine:processes"),
        (2, "kickoff", "setup", team.colleague.id),
    ]


async def test_the_holder_of_the_role_gets_the_task_and_else_the_owner(team: Team) -> None:
    roles = stage("setup", [stage_task("a", assignee_role="ANALYST"), stage_task("b", assignee_role="SALES_MANAGER")])
    flow = await start(team, roles, owners={"CSM": team.csm.id, "ANALYST": team.colleague.id})
    assert {(task.title, task.assignee_id) for task in await flow.tasks()} == {
        ("a", team.colleague.id),
        ("b", team.csm.id),
    }


async def test_the_last_stage_leads_to_completion(team: Team) -> None:
    flow = await start(team, stage("one"), stage("two"))
    await flow.move(ADVANCE)
    await flow.move(ADVANCE)
    assert (flow.process.state, flow.process.stage_key) == (COMPLETED, "two")
    assert flow.progress() == [PASSED, PASSED]
    assert flow.process.HasField("ended_at")
    refusal = await refused(flow.move(ADVANCE))
    assert (refusal.reason, refusal.metadata) == ("PROCESS_STATE", {"state": "COMPLETED"})


async def test_skipping_needs_the_definitions_leave(team: Team) -> None:
    stages = [stage(key) for key in ("one", "two", "three")]
    strict = await start(team, *stages)
    assert (await refused(strict.move(ADVANCE, "three"))).reason == "SKIPPING_NOT_ALLOWED"
    assert (await refused(strict.move(ADVANCE, "one"))).reason == "STAGE_ORDER"
    assert (await refused(strict.move(ADVANCE, "nine"))).reason == "STAGE_NOT_FOUND"
    free = await start(team, *stages, allows_skipping=True)
    await free.move(ADVANCE, "three")
    assert free.progress() == [PASSED, SKIPPED, CURRENT]


async def test_a_return_cancels_what_was_left_open_and_makes_the_earlier_stages_tasks_anew(team: Team) -> None:
    flow = await start(team, *THREE)
    await flow.finish_tasks()
    await flow.move(ADVANCE)
    assert (await refused(flow.move(RETURN, "kickoff"))).reason == "REASON_MISSING"
    assert (await refused(flow.move(RETURN, "handover", why="x"))).reason == "STAGE_ORDER"
    assert (await refused(flow.move(RETURN, why="x"))).fields == ("to_stage_key",)
    await flow.move(RETURN, "kickoff", why="The room was wrong", by=team.csm.id)
    assert flow.progress() == [CURRENT, AHEAD, AHEAD]
    assert {task.title for task in await flow.tasks()} == {"meet", "greet"}
    [cancelled] = [t for t in await flow.tasks(open_only=False) if t.state == task_pb2.TASK_STATE_CANCELLED]
    assert (cancelled.title, cancelled.cancel_reason) == ("install", "process returned to an earlier stage")
    line = (await flow.history())[-1]
    assert (line.reason, line.action, line.actor) == ("The room was wrong", RETURN, team.csm.id)
    assert (await refused(flow.move(ADVANCE))).reason == "REQUIRED_TASKS_OPEN"
    await flow.finish_tasks()
    assert (await flow.move(ADVANCE)).recorded


async def test_a_returned_process_does_not_double_the_optional_tasks_of_stages_between(team: Team) -> None:
    optional = [stage_task("ask", required=False)]
    flow = await start(team, stage("one", optional), stage("two", optional), stage("three", optional))
    await flow.move(ADVANCE)
    await flow.move(ADVANCE)
    assert len(await flow.tasks()) == 3
    await flow.move(RETURN, "one", why="again")
    assert [task.stage_key for task in await flow.tasks()] == ["one"]


async def test_a_pause_moves_the_due_date_by_its_length(team: Team) -> None:
    flow = await start(team, *THREE)
    due = flow.process.stage_due_at.ToDatetime(UTC)
    await flow.move(PAUSE, why="Budget frozen")
    assert flow.process.state == PAUSED
    assert not flow.process.HasField("stage_due_at")
    for action in (ADVANCE, PAUSE):
        assert (await refused(flow.move(action, why="x"))).reason == "PROCESS_STATE"
    try:
        team.services.clock.shift = timedelta(days=3)
        await flow.move(RESUME)
    finally:
        team.services.clock.shift = timedelta()
    moved = flow.process.stage_due_at.ToDatetime(UTC) - due
    assert timedelta(days=3) <= moved < timedelta(days=3, minutes=1)


async def test_a_terminated_process_takes_its_open_tasks_along(team: Team) -> None:
    flow = await start(team, *THREE)
    await flow.move(PAUSE, why="x")
    await flow.move(TERMINATE, why="They went bankrupt")
    assert flow.process.state == TERMINATED
    assert await flow.tasks() == []
    facts = await team.told(events_pb2.TaskChanged, facts__process_id=flow.process.id)
    assert [fact.facts.state for fact in facts[-2:]] == [task_pb2.TASK_STATE_CANCELLED] * 2
    assert (await refused(flow.move(RESUME))).reason == "PROCESS_STATE"


async def test_an_action_is_made_once_and_answered_again(team: Team) -> None:
    flow = await start(team, stage("one"), stage("two"), stage("three"))
    first = await flow.move(ADVANCE, action_id="a-1", revision=1)
    again = await flow.move(ADVANCE, action_id="a-1", revision=1)
    assert (again.recorded, again.process) == (True, first.process)
    late = await flow.move(ADVANCE, action_id="a-2", revision=1)
    assert (late.recorded, late.process) == (False, first.process)


async def test_of_concurrent_transitions_from_one_revision_one_is_made(team: Team) -> None:
    flow = await start(team, stage("one"), stage("two"), stage("three"), stage("four"))
    answers = await asyncio.gather(*(flow.move(ADVANCE, revision=1) for _ in range(5)))
    assert sorted(answer.recorded for answer in answers) == [False] * 4 + [True]
    assert len(await flow.history()) == 2


async def test_a_reason_is_kept_until_its_transition_and_no_longer(team: Team) -> None:
    flow = await start(team, *THREE)
    action_id = rid()
    for reason in ("first", "repeated"):
        await team.machine.records.KeepReason(pb.KeepReasonRequest(action_id=action_id, reason=reason))
    await flow.move(PAUSE, action_id=action_id)
    assert (await flow.history())[-1].reason == "first"
    async with team.services.db("tasks").read(unscoped="what is stored") as read:
        kept = await read.execute(select(kept_reasons).where(kept_reasons.c.action_id == action_id))
        assert kept.all() == []


async def test_processes_are_found_by_what_they_are(team: Team) -> None:
    flow = await start(team, stage("one"), stage("two"))
    await flow.move(ADVANCE)

    async def found(**only: Any) -> list[str]:
        answer = await team.csm.records.ListProcesses(pb.ListProcessesRequest(**only))
        return [process.id for process in answer.processes]

    mine = {"customer_id": flow.process.customer_id}
    assert await found(**mine) == [flow.process.id]
    assert await found(**mine, stage_key="two", definition_key=flow.process.definition_key) == [flow.process.id]
    assert await found(**mine, stage_key="one") == []
    assert await found(**mine, states=[PAUSED]) == []
    by_definition = {"definition_key": flow.process.definition_key, "owner_id": team.csm.id}
    assert await found(**by_definition, states=[RUNNING], stage_key="two") == [flow.process.id]
    seen, request = [], pb.ListProcessesRequest(owner_id=team.csm.id, page_size=3)
    while True:
        page = await team.csm.records.ListProcesses(request)
        seen += page.processes
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len({process.id for process in seen}) == len(seen)
    started = [process.started_at.ToDatetime() for process in seen]
    assert started == sorted(started, reverse=True)
    unknown = pb.GetProcessRequest(process_id=str(new_id()))
    assert (await refused(team.csm.records.GetProcess(unknown))).reason == "PROCESS_NOT_FOUND"


async def test_a_new_version_retires_the_one_before_and_running_processes_keep_theirs(team: Team) -> None:
    first = await team.definition(stage("one"), stage("two"))
    request = pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(), definition_key=first.key, owner_id=team.csm.id
    )
    flow = Flow(team, (await team.machine.records.RecordStart(request)).process)
    second = await team.definition(stage("other"), key=first.key)
    versions = (
        await team.csm.definitions.ListProcessDefinitions(definitions_pb.ListProcessDefinitionsRequest(key=first.key))
    ).definitions
    assert [(each.version, each.state) for each in versions] == [
        (2, process_pb2.DEFINITION_STATE_PUBLISHED),
        (1, process_pb2.DEFINITION_STATE_RETIRED),
    ]
    assert (await flow.move(ADVANCE)).process.stage_key == "two"
    assert flow.process.definition_version == 1
    assert second.version == 2
