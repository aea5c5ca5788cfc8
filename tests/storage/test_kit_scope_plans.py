"""The plans of scoped statements: owners come from an index alone, lists keep their order."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    event,
    select,
    text,
)

from services.shared.access.tables import customer_access
from services.shared.db import Database
from tests.support.infrastructure import TestInfrastructure
from tests.support.notes import SHAPES, everybody, notes, notes_database


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with notes_database(infrastructure) as database:
        yield database


@pytest_asyncio.fixture
async def many(db: Database) -> Database:
    """20,000 customers of 100 employees, with a note each."""
    async with db.transaction(actor="machine:test", unscoped="the test's rows") as write:
        # Else vacuum doesn't know yet that everybody sees the rows.
        await write.execute(text("set local synchronous_commit = on"))
        await write.execute(
            text("""
                with people as (select gen_random_uuid() as id, number from generate_series(0, 99) number),
                    made as (select gen_random_uuid() as id, number from generate_series(1, 20000) number),
                    theirs as (insert into notes (customer_id, body) select id, '' from made)
                insert into kit.customer_access (customer_id, role, employee_id, valid_from, valid_to)
                select made.id, 'CSM', people.id, '0001-01-01', '9999-12-31' from made
                join people on people.number = made.number % 100
            """)
        )
    async with db.read(unscoped="the test's rows") as read:
        await read.execute(text("vacuum analyze kit.customer_access"))
        await read.execute(text("vacuum analyze notes"))
    return db


async def plan_of(db: Database, statement: Any) -> str:
    def explain(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return f"explain {sql}", parameters

    async with db.read() as read:
        event.listen(read.sync_connection, "before_cursor_execute", explain, retval=True)
        return "\n".join((await read.execute(statement)).scalars())


@pytest.mark.parametrize("shape", SHAPES)
async def test_owners_are_read_from_an_index_alone(many: Database, shape: str) -> None:
    async with many.read(unscoped="one of them") as read:
        someone = (await read.execute(select(customer_access.c.employee_id).limit(1))).scalar_one()
    plan = await plan_of(many, SHAPES[shape](everybody(someone)).order_by(notes.c.id).limit(50))
    assert "Index Only Scan using customer_access_by" in plan, plan
    assert "Seq Scan on customer_access" not in plan, plan


async def test_a_broad_list_of_one_employee_begins_with_his_customers(many: Database) -> None:
    async with many.read(unscoped="one of them") as read:
        someone = (await read.execute(select(customer_access.c.employee_id).limit(1))).scalar_one()
    plan = await plan_of(many, SHAPES["broad"](everybody(someone)).order_by(notes.c.id).limit(50))
    assert "customer_access_by_employee" in plan, plan
    assert "Seq Scan on notes" not in plan, plan


async def test_a_broad_list_of_many_employees_walks_its_own_order(many: Database) -> None:
    async with many.read(unscoped="half of them") as read:
        some = (await read.execute(select(customer_access.c.employee_id).distinct().limit(50))).scalars().all()
    plan = await plan_of(many, SHAPES["broad"](everybody(*some)).order_by(notes.c.id).limit(50))
    assert "notes_pkey" in plan, plan
    assert "Sort" not in plan, plan
    assert "SubPlan" in plan, plan
