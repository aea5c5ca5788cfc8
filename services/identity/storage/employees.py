"""Employees."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, any_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from services.identity.domain.departments import Managers
from services.identity.storage.tables import employees
from services.shared.db import Write

# Who leads his department himself reports to the one above.
_SETTLE = text("""
    update employees e set manager_id = placed.manager_id, version = e.version + 1
    from (
        select m.id, case when m.id = d.leader then d.above else d.leader end as manager_id
        from unnest(cast(:departments as uuid[]), cast(:leaders as uuid[]), cast(:aboves as uuid[]))
            as d (id, leader, above)
        join employees m on m.department_id = d.id
    ) placed
    where e.id = placed.id and e.manager_id is distinct from placed.manager_id
    returning e.id
""")

_TAKEN_OVER = text("""
    with recursive before (id) as (
        select id from employees where successor_id = :employee_id
        union
        select e.id from employees e join before on e.successor_id = before.id
    )
    select id from before
""")


async def get(connection: AsyncConnection, employee_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(employees).where(employees.c.id == employee_id))).one_or_none()


async def get_many(connection: AsyncConnection, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """In the order of their ids."""
    mine = employees.c.id == any_(bindparam(None, list(ids), ARRAY(Uuid)))
    return (await connection.execute(select(employees).where(mine).order_by(employees.c.id))).all()


async def get_all(connection: AsyncConnection) -> Sequence[Row[Any]]:
    return (await connection.execute(select(employees).order_by(employees.c.id))).all()


async def by_login(connection: AsyncConnection, login: str) -> Row[Any] | None:
    return (await connection.execute(select(employees).where(employees.c.login == login))).one_or_none()


async def page(
    connection: AsyncConnection, department_id: UUID | None, login: str, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` employees in the order of their logins, after the login `after[0]`."""
    query = select(employees).order_by(employees.c.login).limit(size)
    if department_id:
        query = query.where(employees.c.department_id == department_id)
    if login:
        query = query.where(employees.c.login == login)
    if after:
        query = query.where(employees.c.login > after[0])
    return (await connection.execute(query)).all()


async def add(write: Write, row: dict[str, Any]) -> bool:
    """Stores a new employee; False where the login is taken."""
    statement = upsert(employees).values(row).on_conflict_do_nothing(index_elements=["login"])
    return bool((await write.execute(statement)).rowcount)


async def change(write: Write, employee_id: UUID, values: dict[str, Any]) -> None:
    """Sets `values` and counts the version on."""
    mine = update(employees).where(employees.c.id == employee_id)
    await write.execute(mine.values(**values, version=employees.c.version + 1))


async def other_administrators(write: Write, employee_id: UUID, role_key: str) -> int:
    """How many active employees have the role, without this one."""
    others = select(func.count()).select_from(employees).where(
        employees.c.role == role_key, employees.c.active, employees.c.id != employee_id
    )  # fmt: skip
    return int((await write.execute(others)).scalar_one())


async def taken_over_by(write: Write, employee_id: UUID) -> list[UUID]:
    """Who left with this one as successor, or with one who left so himself."""
    return list((await write.execute(_TAKEN_OVER, {"employee_id": employee_id})).scalars())


async def count_of_role(write: Write, role_key: str) -> int:
    """How many have the role, those who left too."""
    theirs = select(func.count()).select_from(employees).where(employees.c.role == role_key)
    return int((await write.execute(theirs)).scalar_one())


async def count_in_department(write: Write, department_id: UUID) -> int:
    """How many belong to the department itself, those who left too."""
    theirs = select(func.count()).select_from(employees).where(employees.c.department_id == department_id)
    return int((await write.execute(theirs)).scalar_one())


async def settle_managers(write: Write, managers: Mapping[UUID, Managers]) -> list[UUID]:
    """Lets the people of these departments report to `managers`; answers for whom that is somebody else than before."""
    if not managers:
        return []
    values = {
        "departments": list(managers),
        "leaders": [each.leader for each in managers.values()],
        "aboves": [each.above for each in managers.values()],
    }
    return list((await write.execute(_SETTLE, values)).scalars())
