"""Roles, and that nobody gives away more than he has himself."""

from typing import Any

import grpc
import pytest
from sqlalchemy import delete, insert, text, update

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import employees_service_pb2, events_pb2
from kejing.identity.v1 import roles_service_pb2 as pb
from services.identity.api import first_start
from services.identity.storage.tables import roles
from services.shared.clock import utc_now
from tests.support.eventually import eventually
from tests.support.identity import People, fresh, numbers, told
from tests.support.refusals import refusal_of, refused
from tests.support.services import RunningServices

ALL, DEPARTMENT, OWN = permission_pb2.SCOPE_ALL, permission_pb2.SCOPE_DEPARTMENT, permission_pb2.SCOPE_OWN
READ = permission_pb2.PERMISSION_CUSTOMERS_READ


@pytest.fixture
async def admin(services: RunningServices) -> People:
    return await People.by(services)


def role_to_be(key: str, **changes: Any) -> pb.CreateRoleRequest:
    values = {"request_id": fresh("r"), "key": key, "name": "A role", "permissions": [READ], "scope": OWN, **changes}
    return pb.CreateRoleRequest(**values)


def role_as(key: str, **changes: Any) -> pb.UpdateRoleRequest:
    values = {"request_id": fresh("r"), "key": key, "name": "Another", "permissions": [READ], "scope": OWN, **changes}
    return pb.UpdateRoleRequest(**values)


def key() -> str:
    return fresh("R").upper().replace("-", "_")


async def manager(services: RunningServices, admin: People, *permissions: str, scope: str = "OWN") -> People:
    """Somebody who may manage employees and roles, beyond that these permissions."""
    role = await admin.role("EMPLOYEES_MANAGE", "ROLES_MANAGE", *permissions, scope=scope)
    employee = await admin.employee(await admin.department(), role)
    return await People.by(services, f"employee:{employee.login}")


async def test_seven_roles_are_ready_made(admin: People) -> None:
    found = {role.key: role for role in await admin.list_roles()}
    scopes = {"ADMINISTRATOR": ALL, "MANAGER": DEPARTMENT, "CSM": OWN, "ANALYST": OWN, "SALES": OWN,
              "SERVICE_AGENT": DEPARTMENT, "DATA_ANALYST": ALL}  # fmt: skip
    assert {name: found[name].scope for name in scopes} == scopes
    assert "经理" in found["MANAGER"].name
    assert not set(numbers(["EMPLOYEES_MANAGE", "ROLES_MANAGE", "AUDIT_READ", "OPERATE"])) & {
        permission for name in scopes if name != "ADMINISTRATOR" for permission in found[name].permissions
    }


async def test_the_administrator_holds_the_whole_catalogue(admin: People) -> None:
    [role] = [role for role in await admin.list_roles() if role.key == "ADMINISTRATOR"]
    catalogue = [number for number in permission_pb2.Permission.values() if number > 1]
    assert list(role.permissions) == sorted(catalogue)


async def test_a_permission_of_a_later_release_comes_to_the_administrator_at_the_start(
    services: RunningServices, admin: People
) -> None:
    db = services.db("identity")
    mine = roles.c.key == "ADMINISTRATOR"
    async with db.transaction(actor="machine:test") as write:
        await write.execute(update(roles).where(mine).values(permissions=[2, 3, 9000]))

    await first_start.prepare(db)

    [role] = [role for role in await admin.list_roles() if role.key == "ADMINISTRATOR"]
    async with db.read() as read:
        projected = text("select permissions from kit.roles where key = 'ADMINISTRATOR'")
        in_kit = (await read.execute(projected)).scalar_one()
    assert (
        list(role.permissions) == in_kit == sorted({*first_start.CATALOGUE, 9000})
    )  # 9000: of one that is newer still
    async with db.transaction(actor="machine:test") as write:
        await write.execute(update(roles).where(mine).values(permissions=[2]))
    await first_start.prepare(db)


async def test_a_role_is_made_changed_and_removed(services: RunningServices, admin: People) -> None:
    wanted = role_to_be(key(), permissions=numbers(["TASKS_READ", "CUSTOMERS_READ"]), scope=DEPARTMENT)
    made = (await admin.roles.CreateRole(wanted)).role
    assert list(made.permissions) == numbers(["CUSTOMERS_READ", "TASKS_READ"])  # in the catalogue's order
    assert (made.scope, made.version) == (DEPARTMENT, 1)

    changed = (await admin.roles.UpdateRole(role_as(made.key, scope=ALL))).role
    assert (changed.name, list(changed.permissions), changed.scope, changed.version) == ("Another", [READ], ALL, 2)

    await admin.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key=made.key))
    assert made.key not in {role.key for role in await admin.list_roles()}
    events = [role for event in await told(services, events_pb2.RolesChanged) for role in event.roles
              if role.key == made.key]  # fmt: skip
    assert [(role.version, role.deleted) for role in events] == [(1, False), (2, False), (3, True)]


async def test_a_role_of_a_key_that_was_removed_goes_on_from_its_version(admin: People) -> None:
    name = await admin.role("CUSTOMERS_READ")
    await admin.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key=name))
    again = (await admin.roles.CreateRole(role_to_be(name))).role
    assert again.version == 3


async def test_a_change_of_a_role_takes_effect_for_who_has_it(services: RunningServices, admin: People) -> None:
    role = await admin.role("EMPLOYEES_MANAGE", scope="ALL")
    employee = await admin.employee(role=role)
    his = await People.by(services, f"employee:{employee.login}")
    await his.department()

    await admin.roles.UpdateRole(role_as(role))

    async def is_refused() -> bool:
        try:
            await his.department()
        except grpc.aio.AioRpcError as error:
            return refusal_of(error).reason == "PERMISSION_MISSING"
        return False

    assert await eventually(is_refused, within=2)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": "lower"}, "key"),
        ({"key": ""}, "key"),
        ({"key": "X" * 41}, "key"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"permissions": [0]}, "permissions[0]"),
        ({"permissions": [1]}, "permissions[0]"),
        ({"permissions": [999]}, "permissions[0]"),
        ({"permissions": [READ, READ]}, "permissions"),
        ({"scope": 0}, "scope"),
        ({"scope": 9}, "scope"),
        ({"request_id": ""}, "request_id"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(admin: People, changes: dict[str, Any], field: str) -> None:
    answer = await refused(admin.roles.CreateRole(role_to_be(**{"key": key(), **changes})))
    assert answer.code == "INVALID_ARGUMENT"
    assert field in answer.fields


async def test_a_key_is_taken_once(admin: People) -> None:
    answer = await refused(admin.roles.CreateRole(role_to_be("CSM")))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "ROLE_KEY_TAKEN")


async def test_there_are_200_roles_at_most(services: RunningServices, admin: People) -> None:
    many = [
        {"key": f"MANY_{number}", "name": "One of many", "permissions": [READ], "scope": "OWN", "deleted": False,
         "version": 1, "created_at": utc_now()}
        for number in range(200)
    ]  # fmt: skip
    async with services.db("identity").transaction(actor="machine:test") as write:
        await write.execute(insert(roles), many)
    try:
        answer = await refused(admin.roles.CreateRole(role_to_be(key())))
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "TOO_MANY_ROLES")
    finally:
        async with services.db("identity").transaction(actor="machine:test") as write:
            await write.execute(delete(roles).where(roles.c.name == "One of many"))


async def test_the_administrators_role_stays_as_it_is(admin: People) -> None:
    for call in (
        admin.roles.UpdateRole(role_as("ADMINISTRATOR")),
        admin.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key="ADMINISTRATOR")),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "ROLE_PROTECTED")


async def test_a_role_that_somebody_has_stays(admin: People) -> None:
    role = await admin.role("CUSTOMERS_READ")
    await admin.employee(role=role)
    answer = await refused(admin.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key=role)))
    assert (answer.code, answer.reason, answer.metadata["employees"]) == ("FAILED_PRECONDITION", "ROLE_IN_USE", "1")


async def test_an_unknown_role_is_not_found(admin: People) -> None:
    for call in (
        admin.roles.UpdateRole(role_as("NO_SUCH")),
        admin.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key="NO_SUCH")),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "ROLE_NOT_FOUND")


async def test_only_who_may_manage_roles_changes_them(services: RunningServices, admin: People) -> None:
    csm = await People.by(services, f"employee:{(await admin.employee()).login}")
    for call in (
        csm.roles.CreateRole(role_to_be(key())),
        csm.roles.UpdateRole(role_as("CSM", scope=ALL)),
        csm.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key="ANALYST")),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    assert await csm.list_roles()


async def test_nobody_gives_a_role_more_than_he_has(services: RunningServices, admin: People) -> None:
    his = await manager(services, admin, "CUSTOMERS_READ", scope="DEPARTMENT")
    mine = (await his.employees.GetMe(employees_service_pb2.GetMeRequest())).employee
    weaker = (await his.roles.CreateRole(role_to_be(key()))).role.key

    for call in (
        his.roles.CreateRole(role_to_be(key(), permissions=numbers(["OPERATE"]))),
        his.roles.CreateRole(role_to_be(key(), scope=ALL)),
        his.roles.UpdateRole(role_as(weaker, permissions=numbers(["AUDIT_READ"]))),
        his.roles.UpdateRole(role_as(weaker, scope=ALL)),
        his.roles.UpdateRole(role_as(mine.role_key, scope=ALL)),
        his.roles.UpdateRole(role_as("DATA_ANALYST")),
        his.roles.DeleteRole(pb.DeleteRoleRequest(request_id=fresh("r"), key="MANAGER")),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")


async def test_nobody_gives_somebody_a_role_beyond_his_own(services: RunningServices, admin: People) -> None:
    his = await manager(services, admin, "CUSTOMERS_READ", scope="DEPARTMENT")
    mine = (await his.employees.GetMe(employees_service_pb2.GetMeRequest())).employee
    weaker = (await his.roles.CreateRole(role_to_be(key()))).role.key
    colleague = await his.employee(mine.department_id, weaker)

    for call in (
        his.employee(mine.department_id, "ADMINISTRATOR"),
        his.employee(mine.department_id, "CSM"),
        his.update(mine.id, role_key="ADMINISTRATOR"),
        his.update(colleague.id, role_key="DATA_ANALYST"),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")


async def test_nobody_changes_who_may_more_than_himself(services: RunningServices, admin: People) -> None:
    his = await manager(services, admin, "CUSTOMERS_READ", scope="DEPARTMENT")
    mine = (await his.employees.GetMe(employees_service_pb2.GetMeRequest())).employee
    stronger = await admin.employee(mine.department_id, "MANAGER")

    for call in (
        his.update(stronger.id, display_name="X"),
        his.update(stronger.id, role_key=mine.role_key),
        his.deactivate(stronger.id, mine.id),
        his.reactivate(stronger.id),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")


async def test_nobody_widens_his_sight_by_moving_people_or_himself(services: RunningServices, admin: People) -> None:
    his = await manager(services, admin, "CUSTOMERS_READ", scope="DEPARTMENT")
    mine = (await his.employees.GetMe(employees_service_pb2.GetMeRequest())).employee
    root = (await admin.get_department(mine.department_id)).parent_id
    elsewhere = await admin.department()
    weaker = (await his.roles.CreateRole(role_to_be(key()))).role.key
    stranger = await admin.employee(elsewhere, weaker)

    for call in (
        his.update(mine.id, department_id=root),
        his.update(stranger.id, department_id=mine.department_id),
        his.employee(elsewhere, weaker),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")
