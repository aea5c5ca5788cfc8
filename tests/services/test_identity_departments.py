"""The department tree: made, changed, moved and cleared away."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from kejing.identity.v1 import departments_service_pb2 as pb
from kejing.identity.v1 import events_pb2
from kejing.identity.v1.sessions_service_pb2 import RevokeSessionsRequest
from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
from tests.support.identity import People, fresh, told
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def admin(services: RunningServices) -> People:
    return await People.by(services)


async def path_in_kit(services: RunningServices, department_id: str) -> list[str]:
    """The path by which scopes are computed."""
    query = text("select path::text from kit.departments where id = cast(:id as uuid)")
    async with services.db("identity").read() as read:
        path = (await read.execute(query, {"id": department_id})).scalar_one()
    return [str(uuid.UUID(label)) for label in path.split(".")]


async def last_facts(services: RunningServices) -> dict[str, events_pb2.DepartmentFacts]:
    events = await told(services, events_pb2.DepartmentsChanged)
    return {facts.id: facts for event in events for facts in event.departments}


async def test_a_new_department_lies_below_its_parent(services: RunningServices, admin: People) -> None:
    region = await admin.department()
    team = await admin.department(region)

    root = (await admin.get_department(region)).parent_id
    assert (await admin.get_department(team)).version == 1
    assert list((await last_facts(services))[team].path) == [root, region, team]
    assert await path_in_kit(services, team) == [root, region, team]


async def test_names_are_unique_within_the_parent_only(admin: People) -> None:
    name, region = fresh("d"), await admin.department()
    await admin.department(name=name)
    answer = await refused(admin.department(name=name))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "DEPARTMENT_NAME_TAKEN")
    assert (await admin.get_department(await admin.department(region, name))).name == name


@pytest.mark.parametrize("name", ["", "  ", " East", "x" * 101, "East\nWest"])
async def test_a_wrong_name_is_named(admin: People, name: str) -> None:
    create = pb.CreateDepartmentRequest(request_id=fresh("r"), name=name)
    for answer in (
        await refused(admin.departments.CreateDepartment(create)),
        await refused(admin.update_department(str(uuid.uuid4()), name=name or " ")),
    ):
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("name",))


async def test_pages_of_departments_hold_each_once(admin: People) -> None:
    made = {await admin.department() for _ in range(4)}
    found: list[str] = []
    token = ""
    while True:
        page = await admin.departments.ListDepartments(pb.ListDepartmentsRequest(page_size=3, page_token=token))
        found += [one.id for one in page.departments]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found))
    assert made <= set(found)


async def test_a_department_is_renamed_and_gets_a_leader(services: RunningServices, admin: People) -> None:
    team = await admin.department()
    leader, member = await admin.employee(team), await admin.employee(team)
    name = fresh("renamed")

    changed = await admin.update_department(team, name=name, leader_id=leader.id)

    assert (changed.name, changed.leader_id, changed.version) == (name, leader.id, 2)
    assert (await admin.get(member.id)).manager_id == leader.id
    assert (await admin.get(leader.id)).version == 1  # nothing about him changed

    await admin.update_department(team, no_leader=True)
    assert (await admin.get(member.id)).manager_id == member.manager_id


async def test_who_leads_belongs_to_the_department_works_here_and_leads_no_other(
    services: RunningServices, admin: People
) -> None:
    team, other = await admin.department(), await admin.department()
    stranger, leader = await admin.employee(other), await admin.employee(other, leads=True)
    gone = await admin.employee(team)
    await services.start("customers", "tasks")
    await admin.deactivate(gone.id, stranger.id)

    for employee, reason in (
        (stranger, "NOT_IN_DEPARTMENT"),
        (leader, "LEADS_DEPARTMENT"),
        (gone, "EMPLOYEE_INACTIVE"),
    ):
        answer = await refused(admin.update_department(team, leader_id=employee.id))
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", reason)
    unknown = await refused(admin.update_department(team, leader_id=str(uuid.uuid4())))
    assert unknown.reason == "EMPLOYEE_NOT_FOUND"
    both = await refused(admin.update_department(team, leader_id=leader.id, no_leader=True))
    assert (both.code, both.fields) == ("INVALID_ARGUMENT", ("no_leader",))


async def test_a_move_takes_all_below_along_and_changes_only_the_managers_it_must(
    services: RunningServices, admin: People
) -> None:
    old, new = await admin.department(), await admin.department()
    old_head = await admin.employee(old, leads=True)
    new_head = await admin.employee(new, leads=True)
    region = await admin.department(old)
    team = await admin.department(region)
    leader = await admin.employee(team, leads=True)
    member, planner = await admin.employee(team), await admin.employee(region)
    assert (leader.manager_id, planner.manager_id) == (old_head.id, old_head.id)
    events_before = len(await told(services, events_pb2.EmployeesChanged))

    moved = await admin.move(region, new)

    assert (moved.parent_id, moved.version) == (new, 2)
    assert (await admin.get_department(team)).version == 3  # its leader, its place
    assert (await admin.get(leader.id)).manager_id == (await admin.get(planner.id)).manager_id == new_head.id
    assert (await admin.get(member.id)) == member
    root = (await admin.get_department(new)).parent_id
    facts = await last_facts(services)
    assert list(facts[team].path) == await path_in_kit(services, team) == [root, new, region, team]
    assert list(facts[region].path) == await path_in_kit(services, region) == [root, new, region]
    [event] = (await told(services, events_pb2.EmployeesChanged))[events_before:]
    assert {told_of.id for told_of in event.employees} == {leader.id, planner.id}


async def test_a_department_moves_not_below_itself(admin: People) -> None:
    region = await admin.department()
    team = await admin.department(region)
    for target in (region, team):
        answer = await refused(admin.move(region, target))
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "DEPARTMENT_CYCLE")


async def test_two_moves_at_once_make_no_cycle(admin: People) -> None:
    first, second = await admin.department(), await admin.department()
    outcomes: list[object] = []

    async def move(what: str, where: str) -> None:
        try:
            outcomes.append(await admin.move(what, where))
        except Exception as error:
            outcomes.append(error)

    await asyncio.gather(move(first, second), move(second, first))
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 1


async def test_the_root_neither_moves_nor_goes(admin: People) -> None:
    team = await admin.department()
    root = (await admin.get_department(team)).parent_id
    for call in (admin.move(root, team), admin.delete_department(root)):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "ROOT_DEPARTMENT")


async def test_a_move_to_where_the_name_is_taken_is_refused(admin: People) -> None:
    name, region = fresh("d"), await admin.department()
    await admin.department(region, name)
    other = await admin.department(name=name)
    answer = await refused(admin.move(other, region))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "DEPARTMENT_NAME_TAKEN")


async def test_a_tree_has_twenty_levels_at_most(admin: People) -> None:
    deepest, top = "", ""
    for _ in range(19):  # below the root
        deepest = await admin.department(deepest)
        top = top or deepest
    for call in (admin.department(deepest), admin.move(top, await admin.department())):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "TREE_TOO_DEEP")
        assert answer.metadata["levels"] == "21"


async def test_a_department_with_people_or_departments_in_it_stays(admin: People) -> None:
    region = await admin.department()
    await admin.department(region)
    await admin.employee(region)
    answer = await refused(admin.delete_department(region))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "DEPARTMENT_NOT_EMPTY")
    assert (answer.metadata["employees"], answer.metadata["departments"]) == ("1", "1")


async def test_a_deleted_department_is_gone_and_its_name_is_free(services: RunningServices, admin: People) -> None:
    name = fresh("d")
    team = await admin.department(name=name)

    await admin.delete_department(team)

    with pytest.raises(LookupError):
        await admin.get_department(team)
    assert (await last_facts(services))[team].deleted
    for call in (admin.employee(team), admin.department(team), admin.update_department(team, name="X"),
                 admin.delete_department(team)):  # fmt: skip
        assert (await refused(call)).reason == "DEPARTMENT_NOT_FOUND"
    assert await admin.department(name=name) != team


async def test_unknown_departments_are_not_found(admin: People) -> None:
    unknown, known = str(uuid.uuid4()), await admin.department()
    calls: list[Any] = [
        admin.department(unknown),
        admin.update_department(unknown, name="X"),
        admin.move(unknown, known),
        admin.move(known, unknown),
        admin.delete_department(unknown),
    ]
    for call in calls:
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "DEPARTMENT_NOT_FOUND")


async def test_who_does_not_see_everything_changes_his_own_branch_only(
    services: RunningServices, admin: People
) -> None:
    region, other = await admin.department(), await admin.department()
    team = await admin.department(region)
    role = await admin.role("EMPLOYEES_MANAGE", scope="DEPARTMENT")
    someone = await admin.employee(region, role)
    his = await People.by(services, f"employee:{someone.login}")

    below = await his.department(team)
    await his.move(below, region)
    root = (await admin.get_department(other)).parent_id
    for call in (
        his.department(),
        his.move(other, region),
        his.move(team, other),
        his.update_department(root, name="X"),
        his.delete_department(other),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "BEYOND_YOUR_OWN")


async def test_what_is_already_so_is_no_change(admin: People) -> None:
    team = await admin.department()
    leader = await admin.employee(team, leads=True)
    before = await admin.get_department(team)
    assert await admin.update_department(team, name=before.name, leader_id=leader.id) == before
    assert await admin.move(team, before.parent_id) == before


async def test_many_changes_at_once_wait_for_each_other_and_none_fails(
    services: RunningServices, admin: People
) -> None:
    rooms = [await admin.department() for _ in range(3)]
    branch = await admin.department(rooms[0])
    leaders = [await admin.employee(branch) for _ in range(3)]
    people = [await admin.employee(room) for room in rooms]
    stub = await services.stub(SessionsServiceStub)

    async def let_in(login: str, employee_id: str) -> None:
        await services.sign_in(f"employee:{login}")
        await stub.RevokeSessions(RevokeSessionsRequest(employee_id=employee_id))

    await asyncio.gather(
        *(admin.move(branch, room) for room in rooms for _ in range(2)),
        *(admin.update_department(branch, leader_id=leader.id) for leader in leaders),
        *(admin.update(one.id, department_id=rooms[0]) for one in people),
        *(let_in(one.login, one.id) for one in (*people, *leaders)),
        *(admin.role("TASKS_READ") for _ in range(3)),
    )


async def test_a_repeated_change_is_done_once(admin: People) -> None:
    team, region = await admin.department(), await admin.department()
    request = pb.MoveDepartmentRequest(request_id=fresh("r"), department_id=team, parent_id=region)
    first = await admin.departments.MoveDepartment(request)
    assert await admin.departments.MoveDepartment(request) == first
