"""Deputies: they see and do what the absent colleague would, and are marked as the ones who did."""

from typing import Any

import grpc
import pytest

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import (
    deputies_service_pb2,
    deputies_service_pb2_grpc,
    roles_service_pb2,
    roles_service_pb2_grpc,
)
from kejing.tasks.v1 import follow_ups_service_pb2 as follow_ups_pb
from kejing.tasks.v1 import process_records_service_pb2 as records_pb
from kejing.tasks.v1 import task_pb2
from kejing.tasks.v1 import tasks_service_pb2 as pb
from services.shared.rpc.client import ACTING_FOR
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Member, Team, deadline_in, make_department, make_employee, make_team, rid

DONE = task_pb2.TASK_STATE_DONE


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


@pytest.fixture(scope="module")
async def deputy(services: RunningServices, team: Team) -> Member:
    """A CSM of another department, who stands in for the team's CSM."""
    stands_in = await make_employee(services, await make_department(services), "deputy")
    await stand_in(team, stands_in, team.csm)
    return stands_in


def acting_for(absent: Member) -> tuple[tuple[str, str], ...]:
    return ((ACTING_FOR, absent.id),)


async def stand_in(team: Team, deputy: Member, absent: Member) -> None:
    """Names a deputy for today and tomorrow; returns when the tasks service knows."""
    stub = await team.services.stub(deputies_service_pb2_grpc.DeputiesServiceStub)
    dates = {"from": deadline_in().date, "until": deadline_in(days=1).date}
    request = deputies_service_pb2.CreateDeputyRequest(
        request_id=rid(), absent_id=absent.id, deputy_id=deputy.id, **dates
    )
    await stub.CreateDeputy(request)

    async def known() -> bool:
        try:
            await deputy.tasks.ListTasks(pb.ListTasksRequest(page_size=1), metadata=acting_for(absent))
        except grpc.aio.AioRpcError as not_yet:
            raise AssertionError from not_yet
        return True

    await eventually(known)


async def write_for(team: Team, deputy: Member, absent: Member, task: task_pb2.Task) -> follow_ups_pb.FollowUp:
    """A follow-up that the deputy records for the absent one."""
    request = follow_ups_pb.CreateFollowUpRequest(
        request_id=rid(), customer_id=task.customer_id, task_id=task.id, theme_key="value", content="We spoke.",
        channel=follow_ups_pb.CHANNEL_CALL,
    )  # fmt: skip
    answer = await deputy.follow_ups.CreateFollowUp(request, metadata=acting_for(absent))
    follow_up: follow_ups_pb.FollowUp = answer.follow_up
    return follow_up


async def test_a_deputy_sees_what_the_absent_one_would_only_while_he_acts_for_him(team: Team, deputy: Member) -> None:
    task = await team.task()
    named = pb.GetTaskRequest(task_id=task.id)
    assert (await deputy.tasks.GetTask(named, metadata=acting_for(team.csm))).task == task
    assert (await refused(deputy.tasks.GetTask(named))).reason == "TASK_NOT_FOUND"
    refusal = await refused(deputy.tasks.GetTask(named, metadata=acting_for(team.colleague)))
    assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "NOT_A_DEPUTY")
    order = records_pb.CheckOrderRequest(customer_id=task.customer_id)
    await deputy.records.CheckOrder(order, metadata=acting_for(team.csm))
    assert (await refused(deputy.records.CheckOrder(order))).reason == "CUSTOMER_NOT_FOUND"


async def test_a_task_that_a_deputy_creates_is_the_absent_ones_to_do(team: Team, deputy: Member) -> None:
    request = team.new_task(await team.customer())
    task = (await deputy.tasks.CreateTask(request, metadata=acting_for(team.csm))).task
    assert (task.assignee_id, task.created_by) == (team.csm.id, deputy.id)


async def test_what_a_deputy_writes_is_his_and_says_for_whom(team: Team, deputy: Member) -> None:
    task = await team.task()
    follow_up = await write_for(team, deputy, team.csm, task)
    assert (follow_up.author_id, follow_up.on_behalf_of_id) == (deputy.id, team.csm.id)
    own = await team.follow_up(task, team.csm)
    assert (own.author_id, own.on_behalf_of_id) == (team.csm.id, "")


async def test_a_deputys_follow_up_completes_the_absent_ones_task(team: Team, deputy: Member) -> None:
    task = await team.task()
    complete = pb.CompleteTaskRequest(request_id=rid(), task_id=task.id)
    refusal = await refused(deputy.tasks.CompleteTask(complete, metadata=acting_for(team.csm)))
    assert refusal.reason == "FOLLOW_UP_MISSING"
    await write_for(team, deputy, team.csm, task)
    done = (await deputy.tasks.CompleteTask(complete, metadata=acting_for(team.csm))).task
    assert (done.state, done.closed_by) == (DONE, deputy.id)


async def test_a_deputys_follow_up_for_a_colleague_does_not_complete_anothers_task(team: Team, deputy: Member) -> None:
    task = await team.task(by=team.colleague)
    await write_for(team, deputy, team.csm, task)
    assert (await refused(team.complete(task, team.colleague))).reason == "FOLLOW_UP_MISSING"


async def test_the_follow_up_of_a_managers_deputy_counts_as_the_managers(team: Team, services: RunningServices) -> None:
    stands_in = await make_employee(services, await make_department(services), "managers-deputy")
    await stand_in(team, stands_in, team.manager)
    task = await team.task()
    await write_for(team, stands_in, team.manager, task)
    assert (await team.complete(task)).state == DONE


async def test_who_answers_for_tasks_by_his_role_lets_them_be_completed(team: Team, services: RunningServices) -> None:
    """Without being above the assignee."""
    elsewhere = await make_employee(services, await make_department(services), "elsewhere", role_key="MANAGER")
    task = await team.task(await team.customer(owners={"CSM": team.csm.id, "ANALYST": elsewhere.id}))
    await team.follow_up(task, elsewhere)
    assert (await team.complete(task)).state == DONE


async def test_who_is_above_the_assignee_lets_his_task_be_completed_whatever_his_role(
    team: Team, services: RunningServices
) -> None:
    roles: Any = await services.stub(roles_service_pb2_grpc.RolesServiceStub)
    key = f"LEAD_{rid()[-12:].upper()}"
    request = roles_service_pb2.CreateRoleRequest(
        request_id=rid(), key=key, name="Lead", scope=permission_pb2.SCOPE_DEPARTMENT,
        permissions=[permission_pb2.PERMISSION_TASKS_READ, permission_pb2.PERMISSION_TASKS_WRITE],
    )  # fmt: skip
    await roles.CreateRole(request)
    department = await make_department(services)
    lead = await make_employee(services, department, "lead", role_key=key, leads=True)
    beside = await make_employee(services, department, "beside", role_key=key)
    csm = await make_employee(services, department, "below")
    task = await team.task(await team.customer(owners={"CSM": csm.id}), by=csm)
    await team.follow_up(task, beside)
    assert (await refused(team.complete(task, csm))).reason == "FOLLOW_UP_MISSING"
    await team.follow_up(task, lead)
    assert (await team.complete(task, csm)).state == DONE
