"""Employees who leave: what they have needs a successor, and their access ends."""

import asyncio
import uuid

import pytest
from sqlalchemy import text

from kejing.identity.v1 import employees_service_pb2 as pb
from kejing.identity.v1 import events_pb2, sessions_service_pb2
from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
from services.shared.rpc.assertion import assertion
from tests.support.customers import bring
from tests.support.eventually import eventually
from tests.support.identity import People, fresh, told
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def admin(services: RunningServices) -> People:
    await services.start("customers", "tasks")
    return await People.by(services)


async def known_in(services: RunningServices, service: str, employee_id: str) -> None:
    async def known() -> bool:
        query = text("select 1 from kit.employees where id = cast(:id as uuid)")
        async with services.db(service).read() as read:
            return (await read.execute(query, {"id": employee_id})).first() is not None

    await eventually(known)


async def give_customers(services: RunningServices, login: str, count: int) -> None:
    customers = [{"external_id": (name := fresh("c")), "name": name} for _ in range(count)]
    await bring(services, "ImportCustomers", customers)
    owners = [
        {"customer_external_id": one["external_id"], "role": role, "login": login}
        for one in customers
        for role in ("CSM", "ANALYST")
    ]
    assert (await bring(services, "ImportOwners", owners)).rejected == 0


async def test_who_owns_nothing_leaves_without_successor(services: RunningServices, admin: People) -> None:
    employee = await admin.employee()

    gone = await admin.deactivate(employee.id)

    assert (gone.active, gone.successor_id, gone.version) == (False, "", 2)
    events = [facts for event in await told(services, events_pb2.EmployeesChanged) for facts in event.employees
              if facts.id == employee.id]  # fmt: skip
    assert [(facts.active, facts.version) for facts in events] == [(True, 1), (False, 2)]


async def test_who_owns_customers_needs_a_successor_who_then_owns_them(
    services: RunningServices, admin: People
) -> None:
    employee, successor = await admin.employee(), await admin.employee()
    for one in (employee, successor):
        await known_in(services, "customers", one.id)
    await give_customers(services, employee.login, 2)

    answer = await refused(admin.deactivate(employee.id))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "SUCCESSOR_NEEDED")
    assert answer.metadata == {"customers": "2", "open_tasks": "0", "processes": "0"}
    assert (await admin.get(employee.id)).active

    gone = await admin.deactivate(employee.id, successor.id)
    assert (gone.active, gone.successor_id) == (False, successor.id)

    async def taken_over() -> bool:
        return (await refused(admin.deactivate(successor.id))).metadata["customers"] == "2"

    await eventually(taken_over)


async def test_what_is_still_on_its_way_to_a_successor_counts_as_his(services: RunningServices, admin: People) -> None:
    first, second, third = [await admin.employee() for _ in range(3)]
    for one in (first, second, third):
        await known_in(services, "customers", one.id)
    await give_customers(services, first.login, 1)

    await admin.deactivate(first.id, second.id)
    # at once: whether customers has moved them by now or not
    assert (await refused(admin.deactivate(second.id))).reason == "SUCCESSOR_NEEDED"
    await admin.deactivate(second.id, third.id)
    assert (await refused(admin.deactivate(third.id))).reason == "SUCCESSOR_NEEDED"


@pytest.mark.parametrize("away", ["customers", "tasks"])
async def test_while_nobody_knows_what_he_has_he_leaves_with_a_successor_only(
    services: RunningServices, admin: People, away: str
) -> None:
    employee, successor = await admin.employee(), await admin.employee()
    await services.stop(away)
    try:
        answer = await refused(admin.deactivate(employee.id))
        assert (answer.code, answer.reason) == ("UNAVAILABLE", "HOLDINGS_UNKNOWN")
        assert (await admin.get(employee.id)).active
        assert not (await admin.deactivate(employee.id, successor.id)).active
    finally:
        await services.start(away)


async def test_a_successor_is_somebody_else_who_works_here(admin: People) -> None:
    employee, left = await admin.employee(), await admin.employee()
    await admin.deactivate(left.id)

    answer = await refused(admin.deactivate(employee.id, left.id))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "SUCCESSOR_INACTIVE")
    assert (await refused(admin.deactivate(employee.id, str(uuid.uuid4())))).reason == "EMPLOYEE_NOT_FOUND"
    for wrong in (employee.id, "not-an-id"):
        answer = await refused(admin.deactivate(employee.id, wrong))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("successor_id",))
    assert (await refused(admin.deactivate(str(uuid.uuid4())))).reason == "EMPLOYEE_NOT_FOUND"


async def test_two_who_name_each_other_do_not_both_leave(admin: People) -> None:
    for _ in range(3):
        one, other = await admin.employee(), await admin.employee()
        outcomes = await asyncio.gather(
            admin.deactivate(one.id, other.id), admin.deactivate(other.id, one.id), return_exceptions=True
        )
        assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 1


async def test_who_leads_a_department_stays(admin: People) -> None:
    team = await admin.department()
    leader = await admin.employee(team, leads=True)
    answer = await refused(admin.deactivate(leader.id))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "LEADS_DEPARTMENT")
    await admin.update_department(team, no_leader=True)
    assert not (await admin.deactivate(leader.id)).active


async def test_of_two_administrators_one_stays(admin: People) -> None:
    me = (await admin.employees.GetMe(pb.GetMeRequest())).employee
    second = await admin.employee(role="ADMINISTRATOR")
    try:
        assert not (await admin.deactivate(second.id)).active
        answer = await refused(admin.deactivate(me.id))
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "LAST_ADMINISTRATOR")
    finally:
        await admin.update(second.id, role_key="CSM")


async def test_who_has_left_is_let_in_nowhere(services: RunningServices, admin: People) -> None:
    employee = await admin.employee()
    door = await services.stub(SessionsServiceStub, "")

    def proof() -> sessions_service_pb2.SignInRequest:
        key = services.infrastructure.command_key_file
        return sessions_service_pb2.SignInRequest(assertion=assertion(key, f"employee:{employee.login}"))

    tokens = await door.SignIn(proof())
    mine = ((("authorization", f"Bearer {tokens.access_token}")),)
    people = await People.by(services, "")
    assert (await people.employees.GetMe(pb.GetMeRequest(), metadata=mine)).employee.id == employee.id

    await admin.deactivate(employee.id)
    await services.directory("identity").look()

    refresh = sessions_service_pb2.RefreshTokenRequest(refresh_token=tokens.refresh_token)
    assert (await refused(door.RefreshToken(refresh))).reason == "REFRESH_REFUSED"
    assert (await refused(door.SignIn(proof()))).reason == "SIGN_IN_REFUSED"
    answer = await refused(people.employees.GetMe(pb.GetMeRequest(), metadata=mine))
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "SESSION_REVOKED")


async def test_who_comes_back_has_no_successor_any_more(services: RunningServices, admin: People) -> None:
    employee, successor = await admin.employee(), await admin.employee()
    await admin.deactivate(employee.id, successor.id)

    back = await admin.reactivate(employee.id)

    assert (back.active, back.successor_id, back.version) == (True, "", 3)
    assert await admin.reactivate(employee.id) == back
    assert (await (await People.by(services, f"employee:{employee.login}")).list_roles())[0].key


async def test_a_successor_named_later_takes_over_what_was_left_behind(
    services: RunningServices, admin: People
) -> None:
    employee, successor = await admin.employee(), await admin.employee()
    await admin.deactivate(employee.id)
    again = await admin.deactivate(employee.id, successor.id)
    assert (again.successor_id, again.version) == (successor.id, 3)
    assert await admin.deactivate(employee.id) == again


async def test_a_repeated_deactivation_is_done_once(admin: People) -> None:
    employee = await admin.employee()
    request = pb.DeactivateEmployeeRequest(request_id=fresh("r"), employee_id=employee.id)
    first = await admin.employees.DeactivateEmployee(request)
    assert await admin.employees.DeactivateEmployee(request) == first
