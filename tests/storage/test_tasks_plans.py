"""The hot reads of tasks walk an index: neither the whole table nor a sort, however many rows there are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.clock import utc_now
from services.shared.db import Database
from services.tasks.storage import follow_ups, processes, tasks
from services.tasks.storage.tasks import TaskFilter
from tests.support.infrastructure import TestInfrastructure

SOMEBODY = UUID("00000000-0000-7000-8000-000000000007")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAGE = [NOW, SOMEBODY]

ROWS = """
    insert into process_definitions values (gen_random_uuid(), 'd', 1, 'D', 'value', 'PUBLISHED', '[]', true, now(), now());
    insert into processes
        select gen_random_uuid(), ids.id, (select id from process_definitions), 'd',
               case when i % 20 > 0 then 'COMPLETED' else 'RUNNING' end, 's' || i % 5, '{}', now(),
               null, null, ids.id, 1, timestamptz '2026-01-01' + i * interval '9 minutes',
               case when i % 20 > 0 then now() end
        from generate_series(1, 5000) i, lateral (select ('00000000-0000-7000-8000-' || lpad((i % 50)::text, 12, '0'))::uuid as id) ids;
    insert into tasks
        select gen_random_uuid(), ids.id, 't', (array['value', 'training', 'renewal'])[1 + i % 3], ids.id, 'NORMAL',
               '2026-01-01', null, timestamptz '2026-01-01' + i * interval '13 minutes', now(), '', 'MANUAL', null, '', false,
               case when i % 10 = 0 then 'TODO' else 'DONE' end, 1, 'x', now(),
               case when i % 10 = 0 then null else now() end, '', '', now(), 0, null,
               case when i % 10 = 0 then timestamptz '2026-01-01' + i * interval '13 minutes' end
        from generate_series(1, 40000) i, lateral (select ('00000000-0000-7000-8000-' || lpad((i % 50)::text, 12, '0'))::uuid as id) ids;
    insert into follow_ups
        select gen_random_uuid(), ids.id, 'value', timestamptz '2026-01-01' + i * interval '11 minutes', now(), 'CALL', '', '',
               '', null, ids.id
        from generate_series(1, 20000) i, lateral (select ('00000000-0000-7000-8000-' || lpad((i % 50)::text, 12, '0'))::uuid as id) ids;
    analyze
"""  # noqa: E501


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("tasks") as url:
        database = Database(url, utc_now)
        async with database.transaction(actor="machine:test") as write:
            for statement in ROWS.split(";\n"):
                await write.execute(text(statement))
        yield database
        await database.close()


async def plan_of(db: Database, read: Callable[[AsyncConnection], Awaitable[Any]]) -> str:
    """The plan of the one statement that `read` executes."""
    async with db.read() as connection:
        seen: list[tuple[str, Any]] = []

        def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, _ctx: Any, _many: bool) -> None:
            seen.append((statement, parameters))

        event.listen(connection.sync_connection, "before_cursor_execute", remember)
        await read(connection)
        event.remove(connection.sync_connection, "before_cursor_execute", remember)
        [(statement, parameters)] = seen
        rows = await connection.exec_driver_sql(f"explain {statement}", parameters)
        return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TaskFilter(), "tasks_by_deadline"),
        (TaskFilter(assignee_id=SOMEBODY), "tasks_by_assignee"),
        (TaskFilter(assignee_id=SOMEBODY, states=["TODO", "IN_PROGRESS"]), "open_tasks_by_assignee"),
        (TaskFilter(customer_id=SOMEBODY), "tasks_by_customer"),
        (TaskFilter(theme_key="renewal"), "tasks_by_theme"),
        (TaskFilter(overdue_at=NOW), "open_tasks_by_deadline"),
        (TaskFilter(overdue_at=NOW, assignee_id=SOMEBODY), "open_tasks_by_assignee"),
        (TaskFilter(process_id=SOMEBODY), "tasks_by_process"),
    ],
)
@pytest.mark.parametrize("after", [None, PAGE])
async def test_a_page_of_tasks_walks_its_index(
    db: Database, wanted: TaskFilter, index: str, after: list[Any] | None
) -> None:
    plan = await plan_of(db, lambda read: tasks.page(read, wanted, after, 50))
    assert f"using {index} " in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


async def test_the_sweep_of_forgotten_notices_reads_only_those(db: Database) -> None:
    early = datetime(2026, 1, 2, tzinfo=UTC)
    plan = await plan_of(db, lambda read: tasks.open_page(read, early, None, 500))
    assert "tasks_to_notice" in plan
    assert "Seq Scan on tasks" not in plan
    plan = await plan_of(db, lambda read: tasks.open_page(read, None, [SOMEBODY], 500))
    assert "using open_tasks " in plan


@pytest.mark.parametrize(
    ("only", "index"),
    [
        ({}, "follow_ups_by_occurrence"),
        ({"customer_id": SOMEBODY}, "follow_ups_by_customer"),
        ({"author_id": SOMEBODY}, "follow_ups_by_author"),
        ({"task_id": SOMEBODY}, "follow_ups_by_task"),
    ],
)
async def test_a_page_of_follow_ups_walks_its_index(db: Database, only: dict[str, object], index: str) -> None:
    plan = await plan_of(db, lambda read: follow_ups.page(read, only, PAGE, 50))
    assert f"Backward using {index} " in plan
    assert "Sort" not in plan


@pytest.mark.parametrize(
    ("only", "index"),
    [
        ({}, "processes_by_start"),
        ({"customer_id": SOMEBODY}, "processes_by_customer"),
        ({"owner_id": SOMEBODY}, "processes_by_owner"),
        ({"definition_key": "d", "stage_key": "s3"}, "processes_by_stage"),
    ],
)
async def test_a_page_of_processes_walks_its_index(db: Database, only: dict[str, object], index: str) -> None:
    plan = await plan_of(db, lambda read: processes.page(read, only, [], PAGE, 20))
    assert f"Backward using {index} " in plan
    assert "Sort" not in plan


async def test_open_processes_are_found_among_many_ended_ones(db: Database) -> None:
    plan = await plan_of(db, lambda read: processes.page(read, {}, ["RUNNING", "PAUSED"], None, 500))
    assert "Backward using open_processes " in plan
    assert "Sort" not in plan
