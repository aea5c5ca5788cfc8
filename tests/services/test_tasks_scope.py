"""Who sees and does what of tasks, follow-ups and processes: exactly what belongs to the customers in his scope."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from google.type.date_pb2 import Date

from kejing.tasks.v1 import follow_ups_service_pb2 as follow_ups_pb
from kejing.tasks.v1 import process_pb2, task_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records_pb
from kejing.tasks.v1 import tasks_service_pb2 as pb
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.refusals import Refused, refused
from tests.support.services import RunningServices
from tests.support.tasks import Member, Team, deadline_in, make_department, make_employee, make_team, rid, stage

Call = Callable[[Member, str], Awaitable[Any]]


@dataclass
class World:
    """A customer of the team's CSM with a task, a follow-up and a process; `stranger` is a CSM of another department
    with a customer of his own."""

    team: Team
    customer_id: str
    task: task_pb2.Task
    follow_up: follow_ups_pb.FollowUp
    process: process_pb2.Process
    stranger: Member
    his_customer_id: str
    his_task: task_pb2.Task


@pytest.fixture(scope="module")
async def world(services: RunningServices) -> World:
    team = await make_team(services)
    stranger = await make_employee(services, await make_department(services), "stranger")
    customer_id, his = await team.customer(), await team.customer(owners={"CSM": stranger.id})
    task = await team.task(customer_id)
    follow_up = await team.follow_up(task, team.csm)
    definition = await team.definition(stage("one"), stage("two"))
    start = records_pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=customer_id, definition_key=definition.key, owner_id=team.csm.id
    )
    process = (await team.machine.records.RecordStart(start)).process
    await services.start("customers")

    async def customers_answers() -> bool:  # the channel finds a server that came up later within a second
        return (await refused(team.csm.tasks.CreateTask(team.new_task(str(new_id()))))).code == "NOT_FOUND"

    await eventually(customers_answers)
    task = await team.get(task.id)
    return World(team, customer_id, task, follow_up, process, stranger, his, await team.task(his, by=stranger))


def postpone(task_id: str) -> pb.PostponeTaskRequest:
    return pb.PostponeTaskRequest(request_id=rid(), task_id=task_id, deadline=deadline_in(days=9), reason="x")


def interaction(customer_id: str, task_id: str = "") -> follow_ups_pb.CreateFollowUpRequest:
    return follow_ups_pb.CreateFollowUpRequest(
        request_id=rid(), customer_id=customer_id, task_id=task_id, theme_key="value", content="x",
        channel=follow_ups_pb.CHANNEL_CALL,
    )  # fmt: skip


def new_task(customer_id: str) -> pb.CreateTaskRequest:
    return pb.CreateTaskRequest(
        request_id=rid(), customer_id=customer_id, title="x", theme_key="value", deadline=deadline_in(days=3)
    )


OF_TASK: dict[str, Call] = {
    "GetTask": lambda by, id_: by.tasks.GetTask(pb.GetTaskRequest(task_id=id_)),
    "ListPostponements": lambda by, id_: by.tasks.ListPostponements(pb.ListPostponementsRequest(task_id=id_)),
    "StartTask": lambda by, id_: by.tasks.StartTask(pb.StartTaskRequest(request_id=rid(), task_id=id_)),
    "PostponeTask": lambda by, id_: by.tasks.PostponeTask(postpone(id_)),
    "CompleteTask": lambda by, id_: by.tasks.CompleteTask(pb.CompleteTaskRequest(request_id=rid(), task_id=id_)),
    "ReopenTask": lambda by, id_: by.tasks.ReopenTask(pb.ReopenTaskRequest(request_id=rid(), task_id=id_)),
    "CancelTask": lambda by, id_: by.tasks.CancelTask(pb.CancelTaskRequest(request_id=rid(), task_id=id_, reason="x")),
    "ReassignTask": lambda by, id_: by.tasks.ReassignTask(
        pb.ReassignTaskRequest(request_id=rid(), task_id=id_, assignee_id=by.id)
    ),
}
OF_CUSTOMER: dict[str, Call] = {
    "CreateTask": lambda by, id_: by.tasks.CreateTask(new_task(id_)),
    "CreateFollowUp": lambda by, id_: by.follow_ups.CreateFollowUp(interaction(id_)),
    "CheckOrder of a customer": lambda by, id_: by.records.CheckOrder(records_pb.CheckOrderRequest(customer_id=id_)),
}
OF_FOLLOW_UP: dict[str, Call] = {
    "GetFollowUp": lambda by, id_: by.follow_ups.GetFollowUp(follow_ups_pb.GetFollowUpRequest(follow_up_id=id_)),
}
OF_PROCESS: dict[str, Call] = {
    "GetProcess": lambda by, id_: by.records.GetProcess(records_pb.GetProcessRequest(process_id=id_)),
    "ListTransitions": lambda by, id_: by.records.ListTransitions(records_pb.ListTransitionsRequest(process_id=id_)),
    "CheckOrder": lambda by, id_: by.records.CheckOrder(records_pb.CheckOrderRequest(process_id=id_)),
}


def said(refusal: Refused, id_: str) -> Refused:
    """The refusal without the id that it is about."""
    metadata = {key: value.replace(id_, "<id>") for key, value in refusal.metadata.items()}
    return replace(refusal, message=refusal.message.replace(id_, "<id>"), metadata=metadata)


async def outside_is_as_unknown(call: Call, by: Member, outside: str, reason: str) -> None:
    unknown = str(new_id())
    refusal = said(await refused(call(by, outside)), outside)
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", reason)
    assert refusal == said(await refused(call(by, unknown)), unknown)


@pytest.mark.parametrize("rpc", OF_TASK)
async def test_a_task_outside_the_scope_is_to_nobody_there(world: World, rpc: str) -> None:
    await outside_is_as_unknown(OF_TASK[rpc], world.stranger, world.task.id, "TASK_NOT_FOUND")
    assert await world.team.get(world.task.id) == world.task


@pytest.mark.parametrize("rpc", OF_CUSTOMER)
async def test_nothing_is_given_to_a_customer_outside_the_scope(world: World, rpc: str) -> None:
    await outside_is_as_unknown(OF_CUSTOMER[rpc], world.stranger, world.customer_id, "CUSTOMER_NOT_FOUND")


@pytest.mark.parametrize("rpc", OF_FOLLOW_UP)
async def test_a_follow_up_outside_the_scope_is_not_there(world: World, rpc: str) -> None:
    await outside_is_as_unknown(OF_FOLLOW_UP[rpc], world.stranger, world.follow_up.id, "FOLLOW_UP_NOT_FOUND")


@pytest.mark.parametrize("rpc", OF_PROCESS)
async def test_a_process_outside_the_scope_is_not_there(world: World, rpc: str) -> None:
    await outside_is_as_unknown(OF_PROCESS[rpc], world.stranger, world.process.id, "PROCESS_NOT_FOUND")


async def test_a_follow_up_serves_no_task_outside_the_scope(world: World) -> None:
    def serve(by: Member, task_id: str) -> Awaitable[Any]:
        return by.follow_ups.CreateFollowUp(interaction(world.his_customer_id, task_id))

    await outside_is_as_unknown(serve, world.stranger, world.task.id, "TASK_NOT_FOUND")


async def test_who_sees_the_customer_sees_all_of_it(world: World) -> None:
    for by in (world.team.csm, world.team.colleague, world.team.manager):
        assert (await OF_TASK["GetTask"](by, world.task.id)).task == world.task
        assert (await OF_FOLLOW_UP["GetFollowUp"](by, world.follow_up.id)).follow_up == world.follow_up
        assert (await OF_PROCESS["GetProcess"](by, world.process.id)).process == world.process
        assert len((await OF_PROCESS["ListTransitions"](by, world.process.id)).transitions) == 1
        await OF_PROCESS["CheckOrder"](by, world.process.id)
        await OF_CUSTOMER["CheckOrder of a customer"](by, world.customer_id)
        await OF_TASK["ListPostponements"](by, world.task.id)


async def test_lists_show_what_is_in_scope_and_no_filter_widens_it(world: World) -> None:
    csm, colleague, manager, stranger = world.team.csm, world.team.colleague, world.team.manager, world.stranger

    async def tasks(by: Member, **only: Any) -> set[str]:
        request = pb.ListTasksRequest(page_size=500, **only)
        return {task.customer_id for task in (await by.tasks.ListTasks(request)).tasks}

    async def follow_ups(by: Member, **only: Any) -> set[str]:
        request = follow_ups_pb.ListFollowUpsRequest(page_size=500, **only)
        return {each.customer_id for each in (await by.follow_ups.ListFollowUps(request)).follow_ups}

    async def processes(by: Member, **only: Any) -> set[str]:
        request = records_pb.ListProcessesRequest(page_size=500, **only)
        return {process.customer_id for process in (await by.records.ListProcesses(request)).processes}

    for by in (csm, colleague, manager):
        assert await tasks(by) == await follow_ups(by) == await processes(by) == {world.customer_id}
    assert await tasks(stranger) == {world.his_customer_id}
    assert await follow_ups(stranger) == await processes(stranger) == set()
    theirs = {"customer_id": world.customer_id}
    opened = [task_pb2.TASK_STATE_IN_PROGRESS]
    for only in (theirs, {"assignee_id": csm.id}, {"process_id": world.process.id}, {"states": opened}):
        assert await tasks(stranger, **only) == set()
    for only in (theirs, {"author_id": csm.id}, {"task_id": world.task.id}, {"theme_key": "value"}):
        assert await follow_ups(stranger, **only) == set()
    for only in (theirs, {"owner_id": csm.id}, {"definition_key": world.process.definition_key}):
        assert await processes(stranger, **only) == set()


async def test_a_change_of_owners_and_their_dates_take_effect_at_once(world: World) -> None:
    team = world.team
    customer = await team.customer()
    task = await team.task(customer)

    async def seen_by(member: Member) -> bool:
        listed = await member.tasks.ListTasks(pb.ListTasksRequest(customer_id=customer))
        if not listed.tasks:
            assert (await refused(OF_TASK["GetTask"](member, task.id))).reason == "TASK_NOT_FOUND"
        return bool(listed.tasks)

    await team.own(customer, {"CSM": world.stranger.id})
    assert [await seen_by(each) for each in (team.csm, team.manager, world.stranger)] == [False, False, True]
    await team.own(customer, {"CSM": team.csm.id}, valid_from=day(0), valid_to=day(0))
    assert [await seen_by(each) for each in (team.csm, team.manager, world.stranger)] == [True, True, False]
    for validity in ({"valid_from": day(1)}, {"valid_to": day(-1)}):
        await team.own(customer, {"CSM": team.csm.id}, **validity)
        assert not await seen_by(team.csm)


async def test_a_repeat_of_a_request_is_answered_only_while_the_task_is_in_scope(world: World) -> None:
    team = world.team
    customer = await team.customer()
    create = team.new_task(customer)
    task = (await team.csm.tasks.CreateTask(create)).task
    start = pb.StartTaskRequest(request_id=rid(), task_id=task.id)
    await team.csm.tasks.StartTask(start)
    await team.own(customer, {"CSM": world.stranger.id})
    assert (await refused(team.csm.tasks.StartTask(start))).reason == "TASK_NOT_FOUND"
    assert (await refused(team.csm.tasks.CreateTask(create))).reason == "CUSTOMER_NOT_FOUND"


async def test_only_who_may_do_tasks_and_sees_the_customer_is_given_one(world: World) -> None:
    team = world.team
    analyst = await team.employee("analyst", "DATA_ANALYST")  # sees every customer and may do no tasks
    for assignee in (world.stranger, analyst):
        create = team.new_task(world.customer_id, assignee_id=assignee.id)
        reassign = pb.ReassignTaskRequest(request_id=rid(), task_id=world.task.id, assignee_id=assignee.id)
        for call in (team.csm.tasks.CreateTask(create), team.csm.tasks.ReassignTask(reassign)):
            refusal = await refused(call)
            assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "ASSIGNEE_OUT_OF_SCOPE")
            assert "PERMISSION_TASKS_WRITE" in refusal.message
    assert await team.get(world.task.id) == world.task
    task = await team.task(await team.customer(), assignee_id=team.manager.id)  # by his department
    assert task.assignee_id == team.manager.id


async def test_reading_and_writing_tasks_need_their_permissions(world: World) -> None:
    analyst = await world.team.employee("reader", "DATA_ANALYST")
    assert (await OF_TASK["GetTask"](analyst, world.task.id)).task == world.task
    for call in (OF_TASK["StartTask"](analyst, world.task.id), OF_CUSTOMER["CreateTask"](analyst, world.customer_id)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    service_agent = await world.team.employee("agent", "SERVICE_AGENT")
    order = OF_PROCESS["CheckOrder"](service_agent, world.process.id)
    assert (await refused(order)).reason == "PERMISSION_MISSING"


async def test_the_workflows_see_everything(world: World) -> None:
    machine = world.team.machine
    assert (await OF_TASK["GetTask"](machine, world.task.id)).task == world.task
    assert (await OF_PROCESS["GetProcess"](machine, world.process.id)).process == world.process
    listed = await machine.tasks.ListTasks(pb.ListTasksRequest(customer_id=world.his_customer_id))
    assert [task.id for task in listed.tasks] == [world.his_task.id]


def day(ahead: int) -> Date:
    """The business date so many days from now."""
    return deadline_in(days=ahead).date
