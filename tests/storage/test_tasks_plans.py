"""The hot reads of tasks walk an index, for whatever scope: neither the whole table nor all that somebody sees."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access import EVERYTHING, Scope
from services.shared.clock import utc_now
from services.shared.db import Database
from services.tasks.storage import follow_ups, processes, tasks
from services.tasks.storage.tables import metadata
from services.tasks.storage.tasks import BY_ID_IN_SCOPE, TaskFilter
from tests.support.infrastructure import TestInfrastructure

SOMEBODY = UUID("00000000-0000-7000-8000-000000000007")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAGE = [NOW, SOMEBODY]
TODAY = date(2026, 6, 1)


def employee(number: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{number:012}")


OWN = Scope(employees=(SOMEBODY,), today=TODAY)
DEPARTMENT = Scope(employees=tuple(employee(number) for number in range(20)), today=TODAY)
SCOPES = pytest.mark.parametrize("scope", [EVERYTHING, OWN, DEPARTMENT], ids=["ALL", "OWN", "DEPARTMENT"])

# Customer i and employee i have ids that end in i; there are 2,000 customers, 40 of each of 50 employees.
ROWS = """
    create function pg_temp.id_of(bigint) returns uuid immutable language sql
        as $$ select ('00000000-0000-7000-8000-' || lpad($1::text, 12, '0'))::uuid $$;
    insert into process_definitions
        values (gen_random_uuid(), 'd', 1, 'D', 'value', 'PUBLISHED', '[]', true, now(), now());
    insert into processes
        select gen_random_uuid(), pg_temp.id_of(i % 2000), (select id from process_definitions), 'd',
               case when i % 20 > 0 then 'COMPLETED' else 'RUNNING' end, 's' || i % 5, '{}', now(),
               null, null, pg_temp.id_of(i % 50), 1, timestamptz '2026-01-01' + i * interval '9 minutes',
               case when i % 20 > 0 then now() end, pg_temp.id_of(i % 50)
        from generate_series(1, 10000) i;
    insert into tasks
        select gen_random_uuid(), pg_temp.id_of(i % 2000), 't', case when i % 11 = 0 then 'renewal' else 'value' end,
               pg_temp.id_of(i % 50), 'NORMAL',
               '2026-01-01', null, timestamptz '2026-01-01' + i * interval '13 minutes', now(), '', 'MANUAL', null, '', false,
               case when i % 7 = 0 then 'TODO' else 'DONE' end, 1, 'x', now(),
               case when i % 7 = 0 then null else now() end, '', '', now(), 0, null,
               case when i % 7 = 0 then timestamptz '2026-01-01' + i * interval '13 minutes' end
        from generate_series(1, 40000) i;
    insert into follow_ups
        select gen_random_uuid(), pg_temp.id_of(i % 2000), 'value', timestamptz '2026-01-01' + i * interval '11 minutes', now(),
               'CALL', '', '', '', null, pg_temp.id_of(i % 50)
        from generate_series(1, 20000) i;
    insert into kit.customer_access
        select pg_temp.id_of(i), role, pg_temp.id_of(i % 50), '0001-01-01', '9999-12-31'
        from generate_series(0, 1999) i, unnest(array['CSM', 'ANALYST']) role;
    analyze
"""  # noqa: E501


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("tasks") as url:
        database = Database(url, utc_now, metadata)
        async with database.transaction(actor="machine:test", unscoped="the test's rows") as write:
            for statement in ROWS.split(";\n"):
                await write.execute(text(statement))
        yield database
        await database.close()


async def plan_of(db: Database, read: Callable[[AsyncConnection], Awaitable[Any]]) -> str:
    """The plan of the one statement that `read` executes."""
    [plan] = await plans_of(db, read)
    return plan


async def plans_of(db: Database, read: Callable[[AsyncConnection], Awaitable[Any]]) -> list[str]:
    """The plans of the statements that `read` executes."""
    async with db.read() as connection:
        seen: list[tuple[str, Any]] = []

        def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, _ctx: Any, _many: bool) -> None:
            seen.append((statement, parameters))

        event.listen(connection.sync_connection, "before_cursor_execute", remember)
        await read(connection)
        event.remove(connection.sync_connection, "before_cursor_execute", remember)
        await connection.execution_options(kejing_scope="unscoped: a plan")
        explained = [await connection.exec_driver_sql(f"explain {sql}", values) for sql, values in seen]
        return ["\n".join(row[0] for row in rows) for rows in explained]


NARROW = [
    (TaskFilter(assignee_id=SOMEBODY), "tasks_by_assignee"),
    (TaskFilter(assignee_id=SOMEBODY, states=["TODO", "IN_PROGRESS"]), "open_tasks_by_assignee"),
    (TaskFilter(customer_id=SOMEBODY), "tasks_by_customer"),
    (TaskFilter(overdue_at=NOW, assignee_id=SOMEBODY), "open_tasks_by_assignee"),
    (TaskFilter(process_id=SOMEBODY), "tasks_by_process"),
]
BROAD = [
    (TaskFilter(), "tasks_by_deadline", "tasks_by_customer"),
    (TaskFilter(states=["TODO"]), "open_tasks_by_deadline", "open_tasks_by_customer"),
    (TaskFilter(overdue_at=NOW), "open_tasks_by_deadline", "open_tasks_by_customer"),
    (TaskFilter(theme_key="renewal"), "tasks_by_theme", "tasks_by_customer"),
]
AFTER = pytest.mark.parametrize("after", [None, PAGE], ids=["first", "deep"])


@SCOPES
@pytest.mark.parametrize(("wanted", "index"), NARROW)
@AFTER
async def test_a_page_of_somebodys_tasks_walks_his_index(
    db: Database, scope: Scope, wanted: TaskFilter, index: str, after: list[Any] | None
) -> None:
    plan = await plan_of(db, lambda read: tasks.page(read, scope, wanted, after, 50))
    assert f"using {index} " in plan
    assert "Sort" not in plan
    assert "Seq Scan on tasks" not in plan


@pytest.mark.parametrize("scope", [EVERYTHING, DEPARTMENT], ids=["ALL", "DEPARTMENT"])
@pytest.mark.parametrize(("wanted", "index", "_by_customer"), BROAD)
@AFTER
async def test_a_page_of_what_many_see_walks_the_lists_own_order(
    db: Database, scope: Scope, wanted: TaskFilter, index: str, _by_customer: str, after: list[Any] | None
) -> None:
    plan = (await plans_of(db, lambda read: tasks.page(read, scope, wanted, after, 50)))[0]
    assert f"using {index} " in plan
    assert "Sort" not in plan
    assert "Seq Scan on tasks" not in plan


@pytest.mark.parametrize(("wanted", "_index", "by_customer"), BROAD)
@AFTER
async def test_a_page_of_what_few_see_begins_with_their_customers(
    db: Database, wanted: TaskFilter, _index: str, by_customer: str, after: list[Any] | None
) -> None:
    plan = await plan_of(db, lambda read: tasks.page(read, OWN, wanted, after, 50))
    assert f" {by_customer} " in f"{plan} "
    assert "customer_id = ANY" in plan
    assert "Seq Scan on tasks" not in plan


async def test_a_department_that_owns_little_waits_for_no_walk_through_all_others(db: Database) -> None:
    newcomers = Scope(employees=tuple(employee(number) for number in range(5000, 5010)), today=TODAY)
    walk, gathered = await plans_of(db, lambda read: tasks.page(read, newcomers, TaskFilter(overdue_at=NOW), None, 50))
    assert "using open_tasks_by_deadline " in walk
    assert "rows=2000" in walk  # and no more
    assert " open_tasks_by_customer " in f"{gathered} "


async def test_one_task_is_read_by_its_key_and_its_customers_owners_by_theirs(db: Database) -> None:
    async with db.read(unscoped="a plan") as read:
        values = {**BY_ID_IN_SCOPE.fixed, "id": SOMEBODY, **DEPARTMENT.values}
        rows = await read.exec_driver_sql(f"explain {BY_ID_IN_SCOPE.sql}", values)
        plan = "\n".join(row[0] for row in rows)
    assert "tasks_pkey" in plan
    assert "customer_access_" in plan
    assert "Seq Scan on tasks" not in plan


async def test_the_sweep_of_forgotten_notices_reads_only_those(db: Database) -> None:
    early = datetime(2026, 1, 2, tzinfo=UTC)
    plan = await plan_of(db, lambda read: tasks.open_page(read, EVERYTHING, early, None, 500))
    assert "tasks_to_notice" in plan
    assert "Seq Scan on tasks" not in plan
    plan = await plan_of(db, lambda read: tasks.open_page(read, EVERYTHING, None, [SOMEBODY], 500))
    assert "using open_tasks " in plan


@SCOPES
@pytest.mark.parametrize(
    ("only", "index"),
    [
        ({"customer_id": SOMEBODY}, "follow_ups_by_customer"),
        ({"author_id": SOMEBODY}, "follow_ups_by_author"),
        ({"task_id": SOMEBODY}, "follow_ups_by_task"),
    ],
)
async def test_a_page_of_somebodys_follow_ups_walks_his_index(
    db: Database, scope: Scope, only: dict[str, object], index: str
) -> None:
    plan = await plan_of(db, lambda read: follow_ups.page(read, scope, only, PAGE, 50))
    assert f"Backward using {index} " in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("scope", [EVERYTHING, DEPARTMENT], ids=["ALL", "DEPARTMENT"])
async def test_a_page_of_all_follow_ups_walks_the_lists_own_order(db: Database, scope: Scope) -> None:
    plan = await plan_of(db, lambda read: follow_ups.page(read, scope, {}, PAGE, 50))
    assert "Backward using follow_ups_by_occurrence " in plan
    assert "Sort" not in plan


async def test_a_page_of_the_follow_ups_that_few_see_begins_with_their_customers(db: Database) -> None:
    plan = await plan_of(db, lambda read: follow_ups.page(read, OWN, {}, PAGE, 50))
    assert "follow_ups_by_customer" in plan
    assert "Seq Scan on follow_ups" not in plan


@SCOPES
@pytest.mark.parametrize(
    ("only", "index"),
    [({"customer_id": SOMEBODY}, "processes_by_customer"), ({"owner_id": SOMEBODY}, "processes_by_owner")],
)
async def test_a_page_of_somebodys_processes_walks_his_index(
    db: Database, scope: Scope, only: dict[str, object], index: str
) -> None:
    plan = await plan_of(db, lambda read: processes.page(read, scope, only, [], PAGE, 20))
    assert f"Backward using {index} " in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("scope", [EVERYTHING, DEPARTMENT], ids=["ALL", "DEPARTMENT"])
@pytest.mark.parametrize(
    ("only", "index"), [({}, "processes_by_start"), ({"definition_key": "d", "stage_key": "s3"}, "processes_by_stage")]
)
async def test_a_page_of_all_processes_walks_the_lists_own_order(
    db: Database, scope: Scope, only: dict[str, object], index: str
) -> None:
    plan = await plan_of(db, lambda read: processes.page(read, scope, only, [], PAGE, 20))
    assert f"Backward using {index} " in plan
    assert "Sort" not in plan


async def test_open_processes_are_found_among_many_ended_ones(db: Database) -> None:
    plan = await plan_of(db, lambda read: processes.page(read, EVERYTHING, {}, ["RUNNING", "PAUSED"], None, 500))
    assert "Backward using open_processes " in plan
    assert "Sort" not in plan
