"""Lists of orders walk an index, whatever the number of orders."""

from collections.abc import AsyncIterator
from datetime import date
from hashlib import md5
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from services.revenue.storage import orders
from services.revenue.storage.tables import metadata
from services.shared.access import EVERYTHING, Scope
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("revenue") as url:
        database = Database(url, utc_now, metadata)
        async with database.transaction(unscoped="what the test is about") as write:
            await write.execute(
                text("""
                    insert into orders (id, number, customer_id, product, currency, monthly_price, counts_to_mrr,
                                        status, signed_date, term_start, term_end, version, created_at, updated_at)
                    select uuidv7(), 'HT-' || n, md5((n % 3000)::text)::uuid, 'Standard', 'CNY', 100, true, 'EFFECTIVE',
                           start, start, start + 366, 1, now(), now()
                    from generate_series(1, 30000) n, lateral (select date '2020-01-01' + n % 2000) as d(start)
                """)
            )
            await write.execute(
                text("""
                    insert into kit.customer_access (customer_id, role, employee_id, valid_from, valid_to)
                    select md5(n::text)::uuid, 'CSM', md5('e' || n % 150)::uuid, '-infinity'::date, 'infinity'::date
                    from generate_series(0, 2999) n
                """)
            )
        async with database.read(unscoped="statistics") as read:
            await read.execute(text("analyze orders, kit.customer_access"))
        yield database
        await database.close()


def scope_of(employees: int) -> Scope:
    """So many employees, with 20 customers each."""
    ids = tuple(UUID(md5(f"e{n}".encode(), usedforsecurity=False).hexdigest()) for n in range(employees))
    return Scope(False, ids, date(2026, 11, 22))


async def plan_of(db: Database, scope: Scope = EVERYTHING, **conditions: Any) -> str:
    """How Postgres carries out a page of orders."""
    none: dict[str, Any] = dict.fromkeys(["after", "customer_id", "active_on", "ends_from", "ends_to"])
    async with db.read() as read:

        def explain(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
            return f"explain {statement}", parameters

        event.listen(read.sync_connection, "before_cursor_execute", explain, retval=True)
        rows = await orders.page(read, scope, limit=51, **{**none, "status": "", **conditions})
        return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("conditions", "index"),
    [
        ({}, "orders_by_start"),
        ({"after": (date(2022, 5, 5), UUID(int=2**127))}, "orders_by_start"),
        ({"customer_id": UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b")}, "orders_by_customer"),
        ({"active_on": date(2022, 5, 5)}, "orders_by_start"),
        ({"ends_from": date(2026, 6, 1), "ends_to": date(2026, 6, 3)}, "orders_by_end"),
    ],
)
async def test_pages_walk_an_index(db: Database, conditions: dict[str, Any], index: str) -> None:
    plan = await plan_of(db, **conditions)
    assert index in plan
    assert "Seq Scan on orders" not in plan


@pytest.mark.parametrize("employees", [1, 5, 100])
async def test_pages_that_are_gathered_by_the_customers_of_a_scope_read_an_index(db: Database, employees: int) -> None:
    for after in (None, (date(2022, 5, 5), UUID(int=2**127))):
        plan = await plan_of(db, scope_of(employees), after=after)
        assert "orders_by_customer" in plan
        assert "Seq Scan on orders" not in plan


async def test_a_customers_orders_in_a_scope_walk_an_index(db: Database) -> None:
    plan = await plan_of(db, scope_of(100), customer_id=UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b"))
    assert "orders_by_customer" in plan
    assert "Seq Scan" not in plan


async def test_a_number_is_taken_once(db: Database) -> None:
    async with db.read(unscoped="as it is") as read:
        row = dict((await read.execute(text("select * from orders where number = 'HT-1'"))).mappings().one())
    async with db.transaction() as write:
        assert not await orders.add(write, {**row, "id": new_id()})
