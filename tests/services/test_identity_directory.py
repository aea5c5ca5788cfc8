"""The directory: everything that other services keep of identity, as a whole."""

from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import insert, text

from kejing.identity.v1 import deputies_service_pb2, directory_service_pb2, events_pb2
from kejing.identity.v1.deputies_service_pb2_grpc import DeputiesServiceStub
from kejing.identity.v1.directory_service_pb2_grpc import DirectoryServiceStub
from kejing.identity.v1.roles_service_pb2 import DeleteRoleRequest
from services.identity.api import first_start
from services.identity.api.directory import DirectoryServicer
from services.identity.storage.tables import employees
from services.shared.access.directory import Directory
from services.shared.access.tables import revoked_sessions
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.identity import ZONE, People, deputyship, fresh, told
from tests.support.refusals import refusal_of
from tests.support.services import RunningServices

PROJECTED = ("employees", "departments", "roles", "deputies")


@pytest.fixture
async def admin(services: RunningServices) -> People:
    return await People.by(services)


async def parts_of(services: RunningServices, caller: str = "machine:tasks") -> list[Any]:
    stub = await services.stub(DirectoryServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in(caller)}"),)
    request = directory_service_pb2.GetDirectoryRequest()
    return [part async for part in stub.GetDirectory(request, metadata=metadata)]


async def rows_of(db: Database, table: str) -> list[tuple[Any, ...]]:
    async with db.read() as read:
        return [tuple(row) for row in await read.execute(text(f"select * from kit.{table} order by 1"))]


async def test_the_directory_tells_what_the_events_told(services: RunningServices, admin: People) -> None:
    region = await admin.department()
    team = await admin.department(region)
    leader = await admin.employee(team, "MANAGER", leads=True)
    gone, deputy = await admin.employee(region), await admin.employee(team)
    role, removed = await admin.role("TASKS_READ"), await admin.role("TASKS_READ")
    await admin.roles.DeleteRole(DeleteRoleRequest(request_id=fresh("r"), key=removed))
    await admin.move(team, (await admin.get_department(region)).parent_id)
    await admin.deactivate(gone.id, leader.id)
    await admin.delete_department(await admin.department(region))
    stub = await services.stub(DeputiesServiceStub, f"employee:{leader.login}")
    standing = (await stub.CreateDeputy(deputyship(deputy.id))).deputy.id
    over = (await stub.CreateDeputy(deputyship(deputy.id))).deputy.id
    await stub.EndDeputy(deputies_service_pb2.EndDeputyRequest(request_id=fresh("r"), deputy_id=over))

    parts = await parts_of(services)

    directory = directory_service_pb2.GetDirectoryResponse()
    for part in parts:
        directory.MergeFrom(part)
    by_events: dict[str, dict[str, Any]] = {"roles": {}, "departments": {}, "employees": {}, "deputies": {}}
    for event, field, key in (
        (events_pb2.RolesChanged, "roles", "key"),
        (events_pb2.DepartmentsChanged, "departments", "id"),
        (events_pb2.EmployeesChanged, "employees", "id"),
        (events_pb2.DeputiesChanged, "deputies", "id"),
    ):
        for payload in await told(services, event):
            by_events[field].update({getattr(one, key): one for one in getattr(payload, field)})
        for one in getattr(directory, field):
            if not getattr(one, "deleted", False) or field != "departments":
                assert by_events[field][getattr(one, key)] == one
    assert {role, removed} <= {one.key for one in directory.roles}
    assert {standing, over} <= {one.id for one in directory.deputies}
    assert {one.id: one.successor_id for one in directory.employees}[gone.id] == leader.id


async def test_a_part_holds_at_most_500_items_and_no_item_comes_twice(services: RunningServices) -> None:
    async with services.infrastructure.new_database("identity") as url:
        db = Database(url, utc_now)
        await first_start.prepare(db)
        people = [{"id": new_id(), "login": f"e{number}", "display_name": "X", "role": "CSM", "active": True,
                   "department_id": first_start.COMPANY_ID, "version": 1, "created_at": utc_now()}
                  for number in range(1200)]  # fmt: skip
        async with db.transaction(actor="machine:test") as write:
            await write.execute(insert(employees), people)
        servicer = DirectoryServicer(db, ZONE)
        parts = [part async for part in servicer.GetDirectory(directory_service_pb2.GetDirectoryRequest(), None)]
        await db.close()

    sizes = [len(part.employees) for part in parts if part.employees]
    assert sizes == [500, 500, 201]
    assert len({one.id for part in parts for one in part.employees}) == 1201


async def test_a_projection_made_from_the_directory_is_the_one_that_identity_keeps_itself(
    services: RunningServices, admin: People
) -> None:
    team = await admin.department()
    await admin.employee(team, leads=True)

    async def ask() -> Any:
        for part in await parts_of(services):
            yield part

    async with services.infrastructure.new_database("tasks") as url:
        db = Database(url, utc_now)
        await Directory(db, utc_now, ZONE, ask).sync()
        for table in PROJECTED:
            theirs, ours = await rows_of(db, table), await rows_of(services.db("identity"), table)
            if table == "departments":  # where a deleted one lay doesn't matter
                theirs, ours = [row for row in theirs if not row[2]], [row for row in ours if not row[2]]
            assert theirs == ours
        await db.close()


async def test_ended_sessions_are_told_while_their_tokens_could_be_good(services: RunningServices) -> None:
    lasting, over, now = new_id(), new_id(), utc_now()
    async with services.infrastructure.new_database("identity") as url:
        db = Database(url, utc_now)
        async with db.transaction(actor="machine:test") as write:
            expiries = {lasting: timedelta(minutes=1), over: timedelta(minutes=-1)}
            rows = [{"session_id": id_, "tokens_expire_at": now + life} for id_, life in expiries.items()]
            await write.execute(insert(revoked_sessions), rows)
        request = directory_service_pb2.GetRevokedSessionsRequest()
        answer = await DirectoryServicer(db, ZONE).GetRevokedSessions(request, None)
        await db.close()
    assert [session.session_id for session in answer.sessions] == [str(lasting)]
    assert answer.sessions[0].tokens_expire_at.ToDatetime(UTC) == now + timedelta(minutes=1)


async def test_only_machines_are_given_the_directory(services: RunningServices) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await parts_of(services, "employee:admin")
    assert refusal_of(caught.value).reason == "MACHINES_ONLY"


async def test_a_database_of_the_release_before_gets_its_projection_at_the_start(services: RunningServices) -> None:
    async with services.infrastructure.new_database("identity") as url:
        db = Database(url, utc_now)
        async with db.transaction(actor="machine:test") as write:
            await write.execute(
                text("""
                    insert into departments (id, name, created_at)
                    values ('00000000-0000-7000-8000-000000000001', 'Old', now());
                """)
            )
            await write.execute(
                text("""
                    insert into employees
                        (id, login, display_name, department_id, role, active, version, created_at)
                    values ('00000000-0000-7000-8000-000000000002', 'old', 'Old',
                        '00000000-0000-7000-8000-000000000001', 'CSM', true, 4, now());
                """)
            )
        await first_start.prepare(db)
        assert [row[1] for row in await rows_of(db, "employees")] == ["old"]
        assert len(await rows_of(db, "departments")) == 1
        assert len(await rows_of(db, "roles")) == 7
        await db.close()
