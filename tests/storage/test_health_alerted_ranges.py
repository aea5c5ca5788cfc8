"""Ranges that still owe alerts: which rows of the release before do, and how they are found."""

import asyncio
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import insert, text

from services.health.storage.evaluations import unalerted_page
from services.health.storage.tables import evaluation_ranges
from services.health.storage.tables import evaluations as evaluations_table
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.migrate import upgrade
from tests.storage.test_tasks_plans import plan_of
from tests.support.infrastructure import STORAGE, TestInfrastructure

RUN, CUT_OFF = UUID(int=1), UUID(int=2)
BEFORE = """
    drop index unalerted_ranges;
    alter table evaluation_ranges drop column alerted_at;
    update version set version_num = '0001';
    insert into evaluations (id, week, number, created_at, finished_at) values
        ('00000000-0000-0000-0000-000000000001', '2026-11-02', 1, '2026-11-09', '2026-11-09'),
        ('00000000-0000-0000-0000-000000000002', '2026-11-09', 1, '2026-11-16', null);
    insert into evaluation_ranges (run_id, number, first_id, end_id, done_at, transitions)
        select run.id, n, run.id, run.id, case when n < 2 then run.created_at end, n % 2
        from evaluations run, generate_series(0, 2) n
"""
"""The schema of the release before, with a finished run and one that was cut off: ranges 0 (no transitions), 1 (one)
and 2 (not evaluated)."""


async def test_alerts_of_finished_runs_count_as_delivered_and_those_of_others_are_owed(
    infrastructure: TestInfrastructure,
) -> None:
    async with infrastructure.new_database("health") as url:
        db = Database(url, utc_now)
        async with db.transaction() as write:
            for statement in BEFORE.split(";\n"):
                await write.execute(text(statement))
        await asyncio.to_thread(upgrade, url, STORAGE["health"])
        async with db.read() as read:
            owed = await unalerted_page(read, datetime(2026, 11, 20, tzinfo=UTC), None, 10)
            assert [(row.run_id, row.number, str(row.week)) for row in owed] == [(CUT_OFF, 1, "2026-11-09")]
        await db.close()


async def test_the_sweep_of_owed_alerts_reads_only_those(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("health") as url:
        db = Database(url, utc_now)
        async with db.transaction() as write:
            run = {"id": RUN, "week": date(2026, 11, 2), "number": 1, "created_at": write.now}
            await write.execute(insert(evaluations_table).values(run))
            rows = [{"run_id": RUN, "number": number, "first_id": RUN, "end_id": RUN, "done_at": write.now,
                     "transitions": 7, "alerted_at": write.now if number > 3 else None}
                    for number in range(1, 3001)]  # fmt: skip
            await write.execute(insert(evaluation_ranges), rows)
            await write.execute(text("analyze evaluation_ranges"))
        for after in (None, [datetime(2026, 1, 1, tzinfo=UTC), RUN, 1]):
            plan = await plan_of(db, lambda read, after=after: unalerted_page(read, utc_now(), after, 500))  # type: ignore[misc]
            assert "using unalerted_ranges" in plan
            assert "Sort" not in plan
        await db.close()
