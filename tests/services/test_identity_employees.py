"""Employees, and who reports to whom."""

import uuid
from typing import Any

import pytest

from kejing.identity.v1 import employees_service_pb2 as pb
from kejing.identity.v1 import events_pb2
from tests.support.identity import People, fresh, told
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def admin(services: RunningServices) -> People:
    return await People.by(services)


async def test_an_employee_reports_to_the_leader_of_his_department_and_the_leader_to_the_one_above(
    services: RunningServices, admin: People
) -> None:
    region = await admin.department()
    team = await admin.department(region)
    early = await admin.employee(team)
    director = await admin.employee(region, "MANAGER", leads=True)
    leader = await admin.employee(team, "MANAGER", leads=True)
    late = await admin.employee(team)

    assert (await admin.get(early.id)).manager_id == leader.id
    assert leader.manager_id == director.id
    assert late.manager_id == leader.id
    events = await told(services, events_pb2.EmployeesChanged)
    newest = {facts.id: facts for event in events for facts in event.employees}
    assert newest[early.id].manager_id == leader.id
    assert newest[early.id].version == (await admin.get(early.id)).version == 3
    assert newest[late.id].department_id == team


async def test_a_department_has_one_leader(admin: People) -> None:
    team = await admin.department()
    leader = await admin.employee(team, leads=True)
    answer = await refused(admin.employee(team, leads=True))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "DEPARTMENT_HAS_LEADER")
    assert answer.metadata["leader_id"] == leader.id


async def test_only_who_may_manage_employees_creates(services: RunningServices, admin: People) -> None:
    csm = await admin.employee()
    other = await People.by(services, f"employee:{csm.login}")
    for call in (other.department(), other.employee()):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        assert answer.metadata["permission"] == "PERMISSION_EMPLOYEES_MANAGE"
    machine = await People.by(services, "machine:tasks")
    assert (await refused(machine.department())).reason == "MACHINE_NOT_ALLOWED"


async def test_a_repeated_request_is_answered_again_and_done_once(admin: People) -> None:
    request = pb.CreateEmployeeRequest(request_id=fresh("r"), login=fresh("e"), display_name="Wang", role_key="CSM")
    first = await admin.employees.CreateEmployee(request)
    assert (await admin.employees.CreateEmployee(request)).employee == first.employee

    request.display_name = "Somebody else"
    answer = await refused(admin.employees.CreateEmployee(request))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_logins_are_unique(admin: People) -> None:
    known = await admin.employee()
    again = pb.CreateEmployeeRequest(request_id=fresh("r"), login=known.login, display_name="X", role_key="CSM")
    answer = await refused(admin.employees.CreateEmployee(again))
    assert (answer.code, answer.reason, answer.fields) == ("FAILED_PRECONDITION", "LOGIN_TAKEN", ("login",))
    assert known.login not in answer.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"login": "Upper"}, "login"),
        ({"login": "a" * 65}, "login"),
        ({"login": "has space"}, "login"),
        ({"login": ""}, "login"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "   "}, "display_name"),
        ({"display_name": "x" * 101}, "display_name"),
        ({"role_key": ""}, "role_key"),
        ({"role_key": "X" * 41}, "role_key"),
        ({"department_id": "not-an-id"}, "department_id"),
        ({"request_id": ""}, "request_id"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(admin: People, changes: dict[str, Any], field: str) -> None:
    good = {"request_id": fresh("r"), "login": fresh("e"), "display_name": "X", "role_key": "CSM"}
    answer = await refused(admin.employees.CreateEmployee(pb.CreateEmployeeRequest(**{**good, **changes})))
    assert answer.code == "INVALID_ARGUMENT"
    assert field in answer.fields


async def test_unknown_ids_are_not_found(admin: People) -> None:
    unknown = str(uuid.uuid4())
    known = await admin.employee()
    assert (await refused(admin.get(unknown))).reason == "EMPLOYEE_NOT_FOUND"
    assert (await refused(admin.update(unknown, display_name="X"))).reason == "EMPLOYEE_NOT_FOUND"
    assert (await refused(admin.reactivate(unknown))).reason == "EMPLOYEE_NOT_FOUND"
    assert (await refused(admin.employee(unknown))).reason == "DEPARTMENT_NOT_FOUND"
    assert (await refused(admin.update(known.id, department_id=unknown))).reason == "DEPARTMENT_NOT_FOUND"
    assert (await refused(admin.employee(role="NO_SUCH"))).reason == "ROLE_NOT_FOUND"
    assert (await refused(admin.update(known.id, role_key="NO_SUCH"))).reason == "ROLE_NOT_FOUND"


async def test_pages_of_employees_hold_everybody_once(admin: People) -> None:
    team = await admin.department()
    logins = sorted([(await admin.employee(team)).login for _ in range(5)])

    found: list[str] = []
    token = ""
    while True:
        request = pb.ListEmployeesRequest(page_size=2, page_token=token, department_id=team)
        page = await admin.employees.ListEmployees(request)
        found += [one.login for one in page.employees]
        token = page.next_page_token
        if not token:
            break
    assert found == logins


async def test_an_employee_is_found_by_his_login(admin: People) -> None:
    known = await admin.employee()
    page = await admin.employees.ListEmployees(pb.ListEmployeesRequest(login=known.login))
    assert [one.id for one in page.employees] == [known.id]


async def test_a_page_token_of_another_query_is_refused(admin: People) -> None:
    await admin.employee()
    page = await admin.employees.ListEmployees(pb.ListEmployeesRequest(page_size=1))
    other = pb.ListEmployeesRequest(page_size=1, page_token=page.next_page_token, department_id=str(uuid.uuid4()))
    answer = await refused(admin.employees.ListEmployees(other))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("page_token",))


async def test_who_changes_department_reports_to_its_leader(services: RunningServices, admin: People) -> None:
    old, new = await admin.department(), await admin.department()
    leader = await admin.employee(new, "MANAGER", leads=True)
    mover = await admin.employee(old)

    moved = await admin.update(mover.id, department_id=new, display_name="王 Wang")

    assert (moved.department_id, moved.manager_id, moved.display_name) == (new, leader.id, "王 Wang")
    assert moved.version == mover.version + 1
    events = await told(services, events_pb2.EmployeesChanged)
    assert [facts.department_id for event in events for facts in event.employees if facts.id == mover.id] == [old, new]


async def test_what_is_already_so_is_no_change(admin: People) -> None:
    known = await admin.employee()
    again = await admin.update(known.id, role_key="CSM", display_name=known.display_name)
    assert again == known


async def test_who_leads_a_department_does_not_leave_it(admin: People) -> None:
    team, other = await admin.department(), await admin.department()
    leader = await admin.employee(team, "MANAGER", leads=True)

    answer = await refused(admin.update(leader.id, department_id=other))

    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "LEADS_DEPARTMENT")
    assert answer.metadata["department_id"] == team


async def test_the_last_administrator_stays_one(services: RunningServices, admin: People) -> None:
    me = (await admin.employees.GetMe(pb.GetMeRequest())).employee
    for call in (admin.update(me.id, role_key="CSM"), admin.deactivate(me.id, (await admin.employee()).id)):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "LAST_ADMINISTRATOR")

    second = await admin.employee(role="ADMINISTRATOR")
    assert (await admin.update(second.id, role_key="CSM")).role_key == "CSM"


async def test_get_me_tells_what_one_may(services: RunningServices, admin: People) -> None:
    csm = await admin.employee()
    mine = await People.by(services, f"employee:{csm.login}")
    me = await mine.employees.GetMe(pb.GetMeRequest())
    roles = {role.key: role for role in (await mine.list_roles())}
    assert me.employee.id == csm.id
    assert list(me.permissions) == list(roles["CSM"].permissions)
    assert me.scope == roles["CSM"].scope
    assert not me.may_act_for
