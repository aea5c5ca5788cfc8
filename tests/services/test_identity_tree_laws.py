"""Laws of the tree, whatever is done to it: what is stored step by step is what computing it at once would give."""

from typing import Any
from uuid import UUID

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.identity.domain.departments import Tree, managers_in, path_of
from services.identity.storage import departments, employees
from tests.support.identity import People
from tests.support.refusals import refusal_of
from tests.support.services import RunningServices

FEW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
DEPARTMENTS, EMPLOYEES = 6, 8
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, DEPARTMENTS - 1), st.integers(0, DEPARTMENTS - 1)),
        st.tuples(st.just("lead"), st.integers(0, DEPARTMENTS - 1), st.integers(0, EMPLOYEES - 1)),
        st.tuples(st.just("unlead"), st.integers(0, DEPARTMENTS - 1), st.just(0)),
        st.tuples(st.just("place"), st.integers(0, DEPARTMENTS - 1), st.integers(0, EMPLOYEES - 1)),
    ),
    max_size=12,
)
ALLOWED = {"DEPARTMENT_CYCLE", "NOT_IN_DEPARTMENT", "LEADS_DEPARTMENT", "DEPARTMENT_NAME_TAKEN"}


@pytest.fixture(scope="module")
async def admin(services: RunningServices) -> People:
    return await People.by(services)


@pytest.fixture(scope="module")
async def places(admin: People) -> tuple[list[str], list[str]]:
    """Departments and employees that all examples work on."""
    made: list[str] = []
    for number in range(DEPARTMENTS):
        made.append(await admin.department(made[number // 2] if made else ""))
    return made, [(await admin.employee(made[number % DEPARTMENTS])).id for number in range(EMPLOYEES)]


@FEW
@given(STEPS)
async def test_paths_and_managers_are_those_of_the_whole_tree(
    services: RunningServices, admin: People, places: tuple[list[str], list[str]], steps: list[Any]
) -> None:
    rooms, people = places
    refusals = set()
    for step, room, other in steps:
        try:
            match step:
                case "move":
                    await admin.move(rooms[room], rooms[other])
                case "lead":
                    await admin.update_department(rooms[room], leader_id=people[other])
                case "unlead":
                    await admin.update_department(rooms[room], no_leader=True)
                case "place":
                    await admin.update(people[other], department_id=rooms[room])
        except grpc.aio.AioRpcError as error:
            refusals.add(refusal_of(error).reason)
    assert refusals <= ALLOWED
    async with services.db("identity").snapshot() as read:
        tree: Tree = await departments.get_tree(read)
        rows = await employees.get_all(read)
        kit = await read.execute(text("select id, path::text, version from kit.departments where not deleted"))
        paths = {row.id: (tuple(map(UUID, row.path.split("."))), row.version) for row in kit}
        versions = {row.id: row.version for row in await departments.get_all(read) if not row.deleted}
        projected = text("select id, manager_id, department_id, version from kit.employees order by id")
        in_kit = [tuple(row) for row in await read.execute(projected)]
    assert {id_: (path_of(id_, tree), versions[id_]) for id_ in tree} == paths
    for row in rows:
        assert row.manager_id == managers_in(row.department_id, tree).of(row.id)
    assert [(row.id, row.manager_id, row.department_id, row.version) for row in rows] == in_kit
