"""Deputies: who stands in for whom, and what he may then."""

import uuid
from typing import Any

import pytest

from kejing.identity.v1 import departments_service_pb2, events_pb2
from kejing.identity.v1 import deputies_service_pb2 as pb
from kejing.identity.v1.deputies_service_pb2_grpc import DeputiesServiceStub
from kejing.identity.v1.employees_service_pb2 import (
    CreateEmployeeRequest,
    GetMeRequest,
    ResetPasswordRequest,
    UpdateEmployeeRequest,
)
from services.shared.rpc.client import ACTING_FOR
from services.shared.rpc.wire import to_date
from tests.support.identity import People, day, deputyship, fresh, told
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def admin(services: RunningServices) -> People:
    return await People.by(services)


@pytest.fixture
async def deputies(services: RunningServices) -> Any:
    """The service as an administrator has it."""
    return await services.stub(DeputiesServiceStub)


async def as_(services: RunningServices, login: str) -> Any:
    return await services.stub(DeputiesServiceStub, f"employee:{login}")


async def ended(stub: Any, deputy_id: str) -> None:
    await stub.EndDeputy(pb.EndDeputyRequest(request_id=fresh("r"), deputy_id=deputy_id))


async def listed(stub: Any, **request: Any) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        page = await stub.ListDeputies(pb.ListDeputiesRequest(page_size=2, page_token=token, **request))
        found += [deputy.id for deputy in page.deputies]
        token = page.next_page_token
        if not token:
            return found


async def test_everybody_names_his_own_deputy(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    made = (await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id))).deputy

    assert (made.absent_id, made.deputy_id, made.version) == (absent.id, deputy.id, 1)
    assert (getattr(made, "from"), made.until) == (to_date(day(0)), to_date(day(7)))
    events = [one for event in await told(services, events_pb2.DeputiesChanged) for one in event.deputies]
    assert made in events


async def test_a_deputy_may_act_and_sees_for_whom(services: RunningServices, admin: People) -> None:
    role = await admin.role("EMPLOYEES_MANAGE", scope="ALL")
    absent, deputy = await admin.employee(role=role), await admin.employee()
    his = await People.by(services, f"employee:{deputy.login}")
    request = departments_service_pb2.CreateDepartmentRequest(request_id=fresh("r"), name=fresh("d"))
    for_him = ((ACTING_FOR, absent.id),)
    not_yet = await refused(his.departments.CreateDepartment(request, metadata=for_him))
    assert (not_yet.code, not_yet.reason) == ("PERMISSION_DENIED", "NOT_A_DEPUTY")

    await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id))

    me = await his.employees.GetMe(GetMeRequest())
    assert [one.id for one in me.may_act_for] == [absent.id]
    await services.directory("identity").look()
    assert (await his.departments.CreateDepartment(request, metadata=for_him)).department.id
    acting = await his.employees.GetMe(GetMeRequest(), metadata=for_him)
    assert acting.employee.id == deputy.id
    [absents_role] = [one for one in await admin.list_roles() if one.key == role]
    assert (list(acting.permissions), acting.scope) == (list(absents_role.permissions), absents_role.scope)
    assert (await refused(his.department())).reason == "PERMISSION_MISSING"  # without the header he is himself


async def test_a_deputyship_of_tomorrow_is_none_today(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id, 1, 7))
    his = await People.by(services, f"employee:{deputy.login}")
    assert not (await his.employees.GetMe(GetMeRequest())).may_act_for


async def test_nobody_stands_in_for_who_has_left(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id))
    await admin.deactivate(absent.id, deputy.id)
    his = await People.by(services, f"employee:{deputy.login}")
    assert not (await his.employees.GetMe(GetMeRequest())).may_act_for


async def test_an_ended_deputyship_is_over_at_once(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    stub = await as_(services, absent.login)
    made = (await stub.CreateDeputy(deputyship(deputy.id))).deputy

    await ended(stub, made.id)
    await ended(stub, made.id)  # again: no change

    his = await People.by(services, f"employee:{deputy.login}")
    assert not (await his.employees.GetMe(GetMeRequest())).may_act_for
    assert not await listed(stub)
    events = [one for event in await told(services, events_pb2.DeputiesChanged) for one in event.deputies]
    assert [(one.version, one.deleted) for one in events if one.id == made.id] == [(1, False), (2, True)]


async def test_a_deputy_may_give_it_back(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    made = (await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id))).deputy
    his = await as_(services, deputy.login)
    assert await listed(his) == [made.id]
    await ended(his, made.id)
    assert not await listed(his)


async def test_pages_hold_each_deputyship_once_the_one_that_ends_last_first(
    services: RunningServices, admin: People
) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    stub = await as_(services, absent.login)
    made = [(await stub.CreateDeputy(deputyship(deputy.id, 0, last))).deputy.id for last in (3, 9, 1, 9, 5)]
    assert await listed(stub) == [made[3], made[1], made[4], made[0], made[2]]


async def test_others_deputies_are_for_who_may_manage_employees(
    services: RunningServices, admin: People, deputies: Any
) -> None:
    absent, deputy, stranger = await admin.employee(), await admin.employee(), await admin.employee()
    his = await as_(services, stranger.login)
    for call in (
        his.CreateDeputy(deputyship(stranger.id, absent_id=absent.id)),
        his.ListDeputies(pb.ListDeputiesRequest(employee_id=absent.id)),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "NOT_YOURS")

    made = (await deputies.CreateDeputy(deputyship(deputy.id, absent_id=absent.id))).deputy
    assert await listed(deputies, employee_id=absent.id) == [made.id]
    theirs, unknown = await refused(ended(his, made.id)), await refused(ended(his, str(uuid.uuid4())))
    assert (theirs.code, theirs.reason) == (unknown.code, unknown.reason) == ("NOT_FOUND", "DEPUTY_NOT_FOUND")
    await ended(deputies, made.id)


async def test_nobody_makes_himself_deputy_of_who_may_more(services: RunningServices, admin: People) -> None:
    role = await admin.role("EMPLOYEES_MANAGE", scope="ALL")
    clerk, stronger = await admin.employee(role=role), await admin.employee(role="MANAGER")
    stub = await as_(services, clerk.login)
    answer = await refused(stub.CreateDeputy(deputyship(clerk.id, absent_id=stronger.id)))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")


async def test_a_deputy_does_not_prolong_his_own_time(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id, 0, 1))
    await services.directory("identity").look()
    his = await as_(services, deputy.login)
    longer = his.CreateDeputy(deputyship(deputy.id, 2, 300, absent.id), metadata=((ACTING_FOR, absent.id),))
    assert (await refused(longer)).reason == "NOT_YOURS"


async def test_a_deputy_gives_nobody_for_good_what_he_has_for_a_while(services: RunningServices, admin: People) -> None:
    role = await admin.role("EMPLOYEES_MANAGE", "TASKS_READ", scope="ALL")
    reads, less = await admin.role("TASKS_READ"), await admin.role()
    absent, deputy, someone = [await admin.employee(role=each) for each in (role, reads, reads)]
    await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id, 0, 1))
    await services.directory("identity").look()
    his, for_him = await People.by(services, f"employee:{deputy.login}"), ((ACTING_FOR, absent.id),)
    raised = UpdateEmployeeRequest(request_id=fresh("r"), employee_id=deputy.id, role_key=role)
    made = CreateEmployeeRequest(request_id=fresh("r"), login=fresh("e"), display_name="X", role_key=role)

    for call in (
        (await as_(services, deputy.login)).CreateDeputy(deputyship(deputy.id, 2, 300, absent.id), metadata=for_him),
        his.employees.UpdateEmployee(raised, metadata=for_him),
        his.employees.CreateEmployee(made, metadata=for_him),
        his.employees.ResetPassword(ResetPasswordRequest(employee_id=absent.id), metadata=for_him),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")
    modest = UpdateEmployeeRequest(request_id=fresh("r"), employee_id=someone.id, role_key=less)
    assert (await his.employees.UpdateEmployee(modest, metadata=for_him)).employee.role_key == less


async def test_nobody_takes_the_account_of_a_deputy_to_act_for_who_may_more(
    services: RunningServices, admin: People
) -> None:
    roles = [("EMPLOYEES_MANAGE", "TASKS_READ"), ("TASKS_READ",), ("REVENUE_READ",)]
    clerk, deputy, absent = [
        await admin.employee(role=await admin.role(*permissions, scope="ALL")) for permissions in roles
    ]
    made = (await (await as_(services, absent.login)).CreateDeputy(deputyship(deputy.id, 1, 2))).deputy
    stub, asked = await People.by(services, f"employee:{clerk.login}"), ResetPasswordRequest(employee_id=deputy.id)

    answer = await refused(stub.employees.ResetPassword(asked))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")

    await ended(await as_(services, absent.login), made.id)
    assert (await stub.employees.ResetPassword(asked)).password


async def test_who_is_away_himself_is_no_deputy(services: RunningServices, admin: People) -> None:
    absent, deputy, third = await admin.employee(), await admin.employee(), await admin.employee()
    away = (await (await as_(services, deputy.login)).CreateDeputy(deputyship(third.id, 5, 6))).deputy
    stub = await as_(services, absent.login)

    for first, last in ((0, 5), (6, 9), (5, 6), (0, 9)):
        answer = await refused(stub.CreateDeputy(deputyship(deputy.id, first, last)))
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "DEPUTY_ABSENT")
    await stub.CreateDeputy(deputyship(deputy.id, 0, 4))
    await stub.CreateDeputy(deputyship(deputy.id, 7, 9))
    await ended(await as_(services, deputy.login), away.id)
    await stub.CreateDeputy(deputyship(deputy.id, 5, 6))


async def test_wrong_days_and_people_are_named(services: RunningServices, admin: People) -> None:
    absent, deputy = await admin.employee(), await admin.employee()
    stub = await as_(services, absent.login)
    no_day = deputyship(deputy.id)
    no_day.until.day = 31
    no_day.until.month = 2
    missing = deputyship(deputy.id)
    missing.ClearField("from")
    for request, field in (
        (deputyship(deputy.id, 5, 4), "until"),
        (deputyship(deputy.id, -3, -1), "until"),
        (deputyship(deputy.id, 0, 367), "until"),
        (deputyship(absent.id), "deputy_id"),
        (deputyship("not-an-id"), "deputy_id"),
        (no_day, "until"),
        (missing, "from"),
    ):
        answer = await refused(stub.CreateDeputy(request))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", (field,))
    assert (await refused(stub.CreateDeputy(deputyship(str(uuid.uuid4()))))).reason == "EMPLOYEE_NOT_FOUND"


async def test_who_has_left_is_no_deputy(services: RunningServices, admin: People) -> None:
    absent, gone = await admin.employee(), await admin.employee()
    await admin.deactivate(gone.id, absent.id)
    answer = await refused((await as_(services, absent.login)).CreateDeputy(deputyship(gone.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "EMPLOYEE_INACTIVE")
