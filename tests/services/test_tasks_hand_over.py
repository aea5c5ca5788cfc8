"""Who leaves hands over: his open tasks and the processes that he answers for go to his successor, and none is lost."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from kejing.identity.v1.events_pb2 import EmployeeFacts, EmployeesChanged
from kejing.tasks.v1 import events_pb2, process_pb2, task_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records_pb
from kejing.tasks.v1 import tasks_service_pb2 as pb
from kejing.tasks.v1.tasks_service_pb2_grpc import TasksServiceStub
from services.shared.access.tables import employees
from services.shared.db.tables import inbox
from services.shared.ids import new_id
from services.tasks import consumers
from services.tasks.storage.tables import kept_reasons
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Member, Team, make_team, rid, stage, stage_task

ADVANCE, TERMINATE = process_pb2.PROCESS_ACTION_ADVANCE, process_pb2.PROCESS_ACTION_TERMINATE


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


async def customer_of(team: Team, *owners: Member) -> str:
    return await team.customer(
        owners=dict(zip(("CSM", "ANALYST", "SALES_MANAGER"), (o.id for o in owners), strict=False))
    )


async def start(team: Team, customer_id: str, owner: Member, *stages: process_pb2.Stage) -> process_pb2.Process:
    definition = await team.definition(*stages)
    request = records_pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=customer_id, definition_key=definition.key, owner_id=owner.id
    )
    process: process_pb2.Process = (await team.machine.records.RecordStart(request)).process
    return process


async def move(team: Team, process: process_pb2.Process, action: Any) -> records_pb.RecordTransitionResponse:
    action_id = rid()
    await team.machine.records.KeepReason(records_pb.KeepReasonRequest(action_id=action_id, reason="x"))
    request = records_pb.RecordTransitionRequest(
        process_id=process.id, expected_revision=process.revision, action_id=action_id, action=action
    )
    answer: records_pb.RecordTransitionResponse = await team.machine.records.RecordTransition(request)
    return answer


async def get(team: Team, process: process_pb2.Process) -> process_pb2.Process:
    answer = await team.machine.records.GetProcess(records_pb.GetProcessRequest(process_id=process.id))
    found: process_pb2.Process = answer.process
    return found


async def read(team: Team, task: task_pb2.Task) -> task_pb2.Task:
    found: task_pb2.Task = (await team.machine.tasks.GetTask(pb.GetTaskRequest(task_id=task.id))).task
    return found


async def open_tasks(team: Team, process: process_pb2.Process) -> dict[str, str]:
    """Title → assignee."""
    request = pb.ListTasksRequest(process_id=process.id, states=[task_pb2.TASK_STATE_TODO])
    return {task.title: task.assignee_id for task in (await team.machine.tasks.ListTasks(request)).tasks}


async def held(services: RunningServices, member: Member) -> tuple[int, int]:
    stub: Any = await services.stub(TasksServiceStub, "machine:identity")
    counts = await stub.CountOpenTasks(pb.CountOpenTasksRequest(employee_id=member.id))
    return counts.tasks, counts.processes


async def test_open_tasks_and_running_processes_go_to_the_successor(
    team: Team, services: RunningServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "HANDED_OVER_AT_ONCE", 2)
    leaver = await team.employee("leaver")
    customer = await customer_of(team, leaver, team.colleague)
    tasks = [await team.task(customer, by=leaver) for _ in range(5)]
    done = await team.task(customer, by=leaver)
    await team.follow_up(done, leaver)
    done = await team.complete(done, leaver)
    running = [await start(team, customer, leaver, stage("one"), stage("two")) for _ in range(3)]
    ended = await start(team, customer, leaver, stage("one"))
    ended = (await move(team, ended, TERMINATE)).process
    assert await held(services, leaver) == (5, 3)

    await team.leave(leaver, successor=team.colleague)

    assert await held(services, leaver) == (0, 0)
    for task in tasks:
        moved = await read(team, task)
        assert (moved.assignee_id, moved.version, moved.state) == (team.colleague.id, 2, task.state)
        told = await team.told(events_pb2.TaskChanged, facts__task_id=task.id)
        assert [(event.facts.assignee_id, event.facts.version) for event in told] == [
            (leaver.id, 1),
            (team.colleague.id, 2),
        ]
    assert await read(team, done) == done
    for process in running:
        now = await get(team, process)
        assert (now.owner_id, now.revision) == (team.colleague.id, process.revision)
        told = await team.told(events_pb2.ProcessChanged, process__id=process.id)
        assert [event.process.owner_id for event in told] == [leaver.id, team.colleague.id]
        assert (await move(team, process, ADVANCE)).recorded  # by the revision that the workflow knew before
    assert await get(team, ended) == ended


async def test_what_was_told_before_hands_nothing_over_twice(team: Team, services: RunningServices) -> None:
    leaver = await team.employee("twice")
    task = await team.task(await customer_of(team, leaver, team.colleague, team.csm), by=leaver)
    await team.leave(leaver, successor=team.colleague)
    reassign = pb.ReassignTaskRequest(request_id=rid(), task_id=task.id, assignee_id=team.csm.id)
    given = (await team.colleague.tasks.ReassignTask(reassign)).task
    async with services.db("identity").transaction(actor="machine:test") as write:
        write.emit(EmployeesChanged(employees=[EmployeeFacts(
            id=leaver.id, department_id=team.department_id, active=False, successor_id=team.colleague.id, version=1
        )]))  # fmt: skip

    async def taken() -> bool:
        async with services.db("tasks").read() as read_:
            query = select(inbox).where(inbox.c.event_id == write.outgoing[0].id)
            return (await read_.execute(query)).first() is not None

    await eventually(taken)
    assert await read(team, task) == given


async def test_a_successor_who_is_known_to_have_left_is_passed_over(team: Team, services: RunningServices) -> None:
    """Several instances share the events, so that two may take effect in the other order."""
    first, second, third = [await team.employee(name) for name in ("first", "second", "third")]
    customer = await customer_of(team, first, second, third)
    task, process = await team.task(customer, by=first), await start(team, customer, first, stage("one"))
    async with services.db("tasks").transaction(actor="machine:test") as write:
        left = update(employees).where(employees.c.id == UUID(second.id))
        await write.execute(left.values(active=False, successor_id=UUID(third.id), version=2))

    await team.leave(first, successor=second)

    assert (await read(team, task)).assignee_id == third.id
    assert (await get(team, process)).owner_id == third.id


async def test_leaving_and_a_transition_do_not_wait_for_each_other(team: Team, services: RunningServices) -> None:
    """The transition is held up half-way, and meanwhile the process's owner leaves."""
    leaver = await team.employee("crossing")
    customer = await customer_of(team, leaver, team.colleague)
    process = await start(team, customer, leaver, stage("one"), stage("two", [stage_task("a")]))
    action_id, db = rid(), services.db("tasks")
    await team.machine.records.KeepReason(records_pb.KeepReasonRequest(action_id=action_id, reason="x"))

    async def waiting(count: int) -> bool:  # longer than Postgres waits before it looks for a ring
        query = "select count(*) from pg_locks where not granted and clock_timestamp() - waitstart > interval '1.1 s'"
        async with db.read() as read_:
            return bool((await read_.execute(text(query))).scalar_one() >= count)

    async with db.transaction(actor="machine:test") as write:
        await write.execute(select(kept_reasons).where(kept_reasons.c.action_id == action_id).with_for_update())
        request = records_pb.RecordTransitionRequest(
            process_id=process.id, expected_revision=process.revision, action_id=action_id, action=ADVANCE
        )
        moving = asyncio.ensure_future(team.machine.records.RecordTransition(request))
        await eventually(partial(waiting, 1))
        leaving = asyncio.ensure_future(team.leave(leaver, successor=team.colleague))
        await eventually(partial(waiting, 2))
    assert (await moving).recorded
    await leaving
    assert (await get(team, process)).owner_id == team.colleague.id
    assert await open_tasks(team, process) == {"a": team.colleague.id}


async def test_nobody_is_given_a_task_while_he_leaves(team: Team, services: RunningServices) -> None:
    """A task that is created meanwhile is either among what the successor gets, or refused."""
    leaver = await team.employee("meanwhile")
    create = team.new_task(await customer_of(team, team.csm, leaver), assignee_id=leaver.id)
    db = services.db("tasks")

    async def waits() -> bool:
        query = "select count(*) from pg_locks where not granted and locktype in ('tuple', 'transactionid')"
        async with db.read() as read_:
            return bool((await read_.execute(text(query))).scalar_one())

    async with db.transaction(actor="machine:test") as write:
        await write.execute(update(employees).where(employees.c.id == UUID(leaver.id)).values(active=False))
        creation = asyncio.ensure_future(refused(team.csm.tasks.CreateTask(create)))
        await eventually(waits)
    assert (await creation).reason == "EMPLOYEE_INACTIVE"


async def test_a_task_that_is_reopened_is_the_successors_to_do(team: Team) -> None:
    leaver = await team.employee("reopened")
    task = await team.task(await customer_of(team, team.csm, leaver, team.colleague), by=leaver)
    await team.follow_up(task, leaver)
    await team.complete(task, leaver)
    await team.leave(leaver, successor=team.colleague)
    reopen = pb.ReopenTaskRequest(request_id=rid(), task_id=task.id)
    assert (await team.csm.tasks.ReopenTask(reopen)).task.assignee_id == team.colleague.id


async def test_tasks_of_a_process_go_to_somebody_who_sees_the_customer(team: Team) -> None:
    customer = await customer_of(team, team.csm)
    stages = (stage("one"), stage("two", [stage_task("a", assignee_role="ANALYST"), stage_task("b")]))
    process = await start(team, customer, team.csm, *stages)
    await team.own(customer, {"SALES_MANAGER": team.manager.id, "CSM": team.colleague.id})
    await move(team, process, ADVANCE)
    assert await open_tasks(team, process) == {"a": team.colleague.id, "b": team.colleague.id}


async def test_tasks_of_a_process_are_not_lost_where_the_customer_has_no_owner_any_more(team: Team) -> None:
    customer = await customer_of(team, team.csm)
    process = await start(team, customer, team.csm, stage("one"), stage("two", [stage_task("a")]))
    await team.own(customer, {})
    await move(team, process, ADVANCE)
    assert await open_tasks(team, process) == {"a": team.csm.id}


async def test_an_owner_who_has_left_gets_no_task_of_his_role(team: Team) -> None:
    leaver = await team.employee("owner")
    customer = await customer_of(team, team.csm, leaver)
    stages = (stage("one"), stage("two", [stage_task("a", assignee_role="ANALYST")]))
    process = await start(team, customer, team.csm, *stages)
    await team.leave(leaver, successor=team.colleague)
    await move(team, process, ADVANCE)
    assert await open_tasks(team, process) == {"a": team.csm.id}


async def test_who_has_left_answers_for_no_new_process(team: Team) -> None:
    leaver = await team.employee("past")
    customer = await customer_of(team, team.csm, leaver)
    await team.leave(leaver, successor=team.colleague)
    refusal = await refused(start(team, customer, leaver, stage("one")))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "EMPLOYEE_INACTIVE")
