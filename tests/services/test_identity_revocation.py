"""Sessions that are ended: one's own, all of one's own, somebody else's."""

import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.type.date_pb2 import Date
from sqlalchemy import text

from kejing.common.v1 import permission_pb2
from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1.deputies_service_pb2 import CreateDeputyRequest
from kejing.identity.v1.deputies_service_pb2_grpc import DeputiesServiceStub
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.identity.v1.events_pb2 import SessionsRevoked
from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
from services.shared.clock import business_date
from services.shared.ids import new_id
from services.shared.rpc.client import ACTING_FOR
from tests.support.doors import Door, bearer
from tests.support.eventually import eventually
from tests.support.refusals import reason_of, refused
from tests.support.services import RunningServices


@pytest.fixture
async def door(services: RunningServices) -> Door:
    return await Door.of(services)


async def reason(services: RunningServices, token: str) -> str:
    """Why a call with this token is refused; "" where it is answered."""
    stub: Any = await services.stub(EmployeesServiceStub, "")
    return await reason_of(stub.GetMe(employees_pb.GetMeRequest(), metadata=bearer(token)))


async def ended(services: RunningServices, token: str) -> None:
    """Waits until the session's tokens are refused, at most 5 seconds."""

    async def check() -> bool:
        return await reason(services, token) == "SESSION_REVOKED"

    await eventually(check, within=5)


async def test_signing_out_ends_this_session_and_no_other(services: RunningServices, door: Door) -> None:
    person = await door.person()
    here, there = await door.command(person.login), await door.command(person.login)
    await door.sessions.SignOut(pb.SignOutRequest(), metadata=bearer(here.access_token))

    await ended(services, here.access_token)
    assert (await refused(door.refresh(here.refresh_token))).reason == "REFRESH_REFUSED"
    assert await reason(services, there.access_token) == ""
    assert (await door.refresh(there.refresh_token)).access_token


async def test_signing_out_everywhere_ends_all_of_ones_own(services: RunningServices, door: Door) -> None:
    person, other = await door.person(), await door.person()
    mine = [await door.command(person.login) for _ in range(3)]
    theirs = await door.command(other.login)
    answer = await door.sessions.SignOutEverywhere(pb.SignOutEverywhereRequest(), metadata=bearer(mine[0].access_token))

    assert answer.sessions == 3
    for session in mine:
        await ended(services, session.access_token)
    assert await reason(services, theirs.access_token) == ""


async def test_an_administrator_ends_the_sessions_of_somebody_else(services: RunningServices, door: Door) -> None:
    person = await door.person()
    session = await door.command(person.login)
    administrator = await services.stub(SessionsServiceStub)
    answer = await administrator.RevokeSessions(pb.RevokeSessionsRequest(employee_id=person.id))

    assert answer.sessions == 1
    await ended(services, session.access_token)
    assert (await door.command(person.login)).access_token


async def test_the_sessions_of_nobody_cannot_be_ended(services: RunningServices) -> None:
    administrator = await services.stub(SessionsServiceStub)
    unknown = pb.RevokeSessionsRequest(employee_id=str(uuid.uuid4()))
    assert (await refused(administrator.RevokeSessions(unknown))).reason == "EMPLOYEE_NOT_FOUND"


async def test_who_may_less_ends_no_sessions_of_who_may_more(services: RunningServices, door: Door) -> None:
    helper = await door.person_with_role([permission_pb2.PERMISSION_EMPLOYEES_MANAGE], permission_pb2.SCOPE_ALL)
    token = (await door.command(helper.login)).access_token
    admin = (await door.employees.GetMe(employees_pb.GetMeRequest())).employee.id

    request = pb.RevokeSessionsRequest(employee_id=admin)
    assert (await refused(door.sessions.RevokeSessions(request, metadata=bearer(token)))).reason == "BEYOND_YOUR_OWN"
    reset = employees_pb.ResetPasswordRequest(employee_id=admin)
    nobody = await services.stub(EmployeesServiceStub, "")
    assert (await refused(nobody.ResetPassword(reset, metadata=bearer(token)))).reason == "BEYOND_YOUR_OWN"


async def test_the_sessions_of_who_leaves_end(services: RunningServices, door: Door) -> None:
    person, successor = await door.person(), await door.person()
    session = await door.command(person.login)
    leaving = employees_pb.DeactivateEmployeeRequest(
        request_id=str(uuid.uuid4()), employee_id=person.id, successor_id=successor.id
    )
    await door.employees.DeactivateEmployee(leaving)
    await ended(services, session.access_token)
    assert (await refused(door.refresh(session.refresh_token))).reason == "REFRESH_REFUSED"


async def test_many_sessions_are_told_in_events_of_five_hundred(services: RunningServices, door: Door) -> None:
    person, db = await door.person(), services.db("identity")
    insert = text("insert into sessions (id, employee_id, created_at, expires_at) "
                  "values (:id, cast(:employee_id as uuid), now(), now() + interval '1 hour')")  # fmt: skip
    async with db.transaction(actor="test") as write:
        await write.execute(insert, [{"id": new_id(), "employee_id": person.id} for _ in range(1001)])
    request = pb.RevokeSessionsRequest(employee_id=person.id)
    assert (await (await services.stub(SessionsServiceStub)).RevokeSessions(request)).sessions == 1001

    async with db.read() as read:
        newest = text("select event from kit.outbox where subject = 'kejing.identity.sessions.revoked' "
                      "order by position desc limit 3")  # fmt: skip
        events = [Event.FromString(bytes(event)) for event in (await read.execute(newest)).scalars()]
    told = [SessionsRevoked.FromString(event.payload.value) for event in events]
    assert sorted(len(payload.sessions) for payload in told) == [1, 500, 500]


async def test_a_deputy_who_signs_out_everywhere_ends_his_own_sessions_only(
    services: RunningServices, door: Door
) -> None:
    absent, deputy = await door.person(), await door.person()
    theirs, his = await door.command(absent.login), await door.command(deputy.login)
    today = business_date(services.clock(), ZoneInfo("Asia/Shanghai"))
    day = Date(year=today.year, month=today.month, day=today.day)
    named = {"request_id": str(new_id()), "absent_id": absent.id, "deputy_id": deputy.id, "from": day, "until": day}
    await (await services.stub(DeputiesServiceStub)).CreateDeputy(CreateDeputyRequest(**named))

    acting = (*bearer(his.access_token), (ACTING_FOR, absent.id))
    assert (await door.sessions.SignOutEverywhere(pb.SignOutEverywhereRequest(), metadata=acting)).sessions == 1
    await ended(services, his.access_token)
    assert await reason(services, theirs.access_token) == ""
