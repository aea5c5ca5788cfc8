"""Departments, employees, and who reports to whom."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select

from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1 import employee_pb2, events_pb2
from kejing.identity.v1 import identity_service_pb2 as pb
from kejing.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from services.shared.db.tables import outbox
from tests.support.refusals import refused
from tests.support.services import RunningServices

CSM, MANAGER = employee_pb2.ROLE_CSM, employee_pb2.ROLE_MANAGER


@pytest.fixture
async def admin(services: RunningServices) -> Any:
    return await services.stub(IdentityServiceStub)


def fresh(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


async def department(admin: Any, parent_id: str = "") -> str:
    request = pb.CreateDepartmentRequest(request_id=fresh("r"), name=fresh("department"), parent_id=parent_id)
    answer = await admin.CreateDepartment(request)
    return str(answer.department.id)


async def employee(admin: Any, department_id: str, *, leads: bool = False, role: Any = CSM) -> Any:
    request = pb.CreateEmployeeRequest(request_id=fresh("r"), login=fresh("e"), display_name="李 Li",
                                       department_id=department_id, role=role, leads_department=leads)  # fmt: skip
    return (await admin.CreateEmployee(request)).employee


async def get(admin: Any, employee_id: str) -> Any:
    return (await admin.GetEmployee(pb.GetEmployeeRequest(employee_id=employee_id))).employee


async def told(services: RunningServices) -> list[events_pb2.EmployeeFacts]:
    """All facts that identity has told, oldest first."""
    async with services.db("identity").read() as read:
        rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
    facts: list[events_pb2.EmployeeFacts] = []
    for row in rows:
        payload = events_pb2.EmployeesChanged()
        if Event.FromString(row).payload.Unpack(payload):
            facts += payload.employees
    return facts


async def test_an_employee_reports_to_the_leader_of_his_department_and_the_leader_to_the_one_above(
    services: RunningServices, admin: Any
) -> None:
    region = await department(admin)
    team = await department(admin, region)
    early = await employee(admin, team)
    director = await employee(admin, region, leads=True, role=MANAGER)
    leader = await employee(admin, team, leads=True, role=MANAGER)
    late = await employee(admin, team)

    assert (await get(admin, early.id)).manager_id == leader.id
    assert leader.manager_id == director.id
    assert late.manager_id == leader.id
    newest = {facts.id: facts for facts in await told(services)}
    assert newest[early.id].manager_id == leader.id
    assert newest[early.id].version == (await get(admin, early.id)).version == 3
    assert newest[late.id].department_id == team


async def test_a_department_has_one_leader(admin: Any) -> None:
    team = await department(admin)
    leader = await employee(admin, team, leads=True)
    answer = await refused(employee(admin, team, leads=True))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "DEPARTMENT_HAS_LEADER")
    assert answer.metadata["leader_id"] == leader.id


async def test_only_administrators_create(services: RunningServices, admin: Any) -> None:
    csm = await employee(admin, "")
    other = await services.stub(IdentityServiceStub, f"employee:{csm.login}")
    for call in (department(other), employee(other, "")):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "ADMINISTRATORS_ONLY")
    machine = await services.stub(IdentityServiceStub, "machine:tasks")
    assert (await refused(department(machine))).code == "PERMISSION_DENIED"


async def test_a_repeated_request_is_answered_again_and_done_once(admin: Any) -> None:
    request = pb.CreateEmployeeRequest(request_id=fresh("r"), login=fresh("e"), display_name="Wang", role=CSM)
    first = await admin.CreateEmployee(request)
    assert (await admin.CreateEmployee(request)).employee == first.employee

    request.display_name = "Somebody else"
    answer = await refused(admin.CreateEmployee(request))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_logins_and_names_of_departments_are_unique(admin: Any) -> None:
    known = await employee(admin, "")
    again = pb.CreateEmployeeRequest(request_id=fresh("r"), login=known.login, display_name="X", role=CSM)
    assert (await refused(admin.CreateEmployee(again))).reason == "LOGIN_TAKEN"

    request = pb.CreateDepartmentRequest(request_id=fresh("r"), name=fresh("d"))
    await admin.CreateDepartment(request)
    request.request_id = fresh("r")
    assert (await refused(admin.CreateDepartment(request))).reason == "DEPARTMENT_NAME_TAKEN"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"login": "Upper"}, "login"),
        ({"login": "a" * 65}, "login"),
        ({"login": "has space"}, "login"),
        ({"login": ""}, "login"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 101}, "display_name"),
        ({"role": 0}, "role"),
        ({"role": 99}, "role"),
        ({"department_id": "not-an-id"}, "department_id"),
        ({"request_id": ""}, "request_id"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(admin: Any, changes: dict[str, Any], field: str) -> None:
    good = {"request_id": fresh("r"), "login": fresh("e"), "display_name": "X", "role": CSM}
    answer = await refused(admin.CreateEmployee(pb.CreateEmployeeRequest(**{**good, **changes})))
    assert answer.code == "INVALID_ARGUMENT"
    assert field in answer.fields


async def test_unknown_ids_are_not_found(admin: Any) -> None:
    unknown = str(uuid.uuid4())
    assert (await refused(get(admin, unknown))).reason == "EMPLOYEE_NOT_FOUND"
    assert (await refused(department(admin, unknown))).reason == "DEPARTMENT_NOT_FOUND"
    assert (await refused(employee(admin, unknown))).reason == "DEPARTMENT_NOT_FOUND"


async def test_pages_of_employees_and_departments_hold_everybody_once(admin: Any) -> None:
    team = await department(admin)
    logins = sorted([(await employee(admin, team)).login for _ in range(5)])

    found: list[str] = []
    token = ""
    while True:
        page = await admin.ListEmployees(pb.ListEmployeesRequest(page_size=2, page_token=token, department_id=team))
        found += [one.login for one in page.employees]
        token = page.next_page_token
        if not token:
            break
    assert found == logins

    names: list[str] = []
    while True:
        departments = await admin.ListDepartments(pb.ListDepartmentsRequest(page_size=3, page_token=token))
        names += [one.id for one in departments.departments]
        token = departments.next_page_token
        if not token:
            break
    assert len(names) == len(set(names))
    assert team in names


async def test_a_page_token_of_another_query_is_refused(admin: Any) -> None:
    page = await admin.ListEmployees(pb.ListEmployeesRequest(page_size=1))
    other = pb.ListEmployeesRequest(page_size=1, page_token=page.next_page_token, department_id=str(uuid.uuid4()))
    answer = await refused(admin.ListEmployees(other))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("page_token",))
