"""Pages of tasks in scope hold every task in scope once, in order, whatever way they are found."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.shared.access import EVERYTHING, Scope, pages
from services.shared.clock import utc_now
from services.shared.db import Database
from services.tasks.storage import tasks
from services.tasks.storage.tables import metadata
from services.tasks.storage.tasks import TaskFilter
from tests.support.infrastructure import TestInfrastructure

TODAY = date(2026, 6, 1)
EMPLOYEES = 12
# Task i is customer i % 40's; customer c has owners c % 12 and, until yesterday, (c + 1) % 12. Deadlines repeat.
ROWS = """
    create function pg_temp.id_of(bigint) returns uuid immutable language sql
        as $$ select ('00000000-0000-7000-8000-' || lpad($1::text, 12, '0'))::uuid $$;
    insert into kit.customer_access
        select pg_temp.id_of(c), 'CSM', pg_temp.id_of(c % 12), '0001-01-01', '9999-12-31' from generate_series(0, 39) c;
    insert into kit.customer_access
        select pg_temp.id_of(c), 'ANALYST', pg_temp.id_of((c + 1) % 12), '0001-01-01', '2026-05-31'
        from generate_series(0, 39) c;
    insert into tasks
        select pg_temp.id_of(i), pg_temp.id_of(i % 40), 't', 'value', pg_temp.id_of(0), 'NORMAL', '2026-01-01', null,
               timestamptz '2026-01-01' + (i / 3) * interval '1 hour', now(), '', 'MANUAL', null, '', false, 'TODO', 1,
               'x', now(), null, '', '', now(), 0, null, null
        from generate_series(0, 399) i
"""


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("tasks") as url:
        database = Database(url, utc_now, metadata)
        async with database.transaction(actor="machine:test", unscoped="the test's rows") as write:
            for statement in ROWS.split(";\n"):
                await write.execute(text(statement))
        yield database
        await database.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.none(), st.sets(st.integers(0, EMPLOYEES + 2))),
    st.integers(1, 60),
    st.sampled_from([1, 30, 2000]),
)
async def test_pages_hold_what_is_in_scope_once_and_in_order(
    db: Database, employees: set[int] | None, size: int, walked: int
) -> None:
    scope = EVERYTHING if employees is None else Scope(employees=tuple(map(id_of, sorted(employees))), today=TODAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "WALKED_ROWS", walked)
        seen = await all_pages(db, scope, size)
    expected = [i for i in range(400) if employees is None or (i % 40) % EMPLOYEES in employees]
    assert seen == list(map(id_of, expected))


async def all_pages(db: Database, scope: Scope, size: int) -> list[UUID]:
    seen: list[UUID] = []
    after: list[Any] | None = None
    while True:
        async with db.read() as read:
            rows: Sequence[Any] = await tasks.page(read, scope, TaskFilter(), after, size)
        seen += [row.id for row in rows]
        if len(rows) < size:
            return seen
        after = [rows[-1].deadline_at, rows[-1].id]


def id_of(number: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{number:012}")
