"""The statement that evaluates a range: the same statuses as the rules in Python, a stable plan, one effect."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects.postgresql import asyncpg

from services.health.domain.metrics import FIELDS
from services.health.domain.rules import Rules, Status, status
from services.health.domain.weeks import Week
from services.health.storage import evaluations, rule_sets
from services.health.storage.evaluation import evaluate_range, statement
from services.health.storage.results import values_of
from services.health.storage.tables import customers, health_current, health_results, health_transitions, usage
from services.shared.clock import utc_now
from services.shared.conditions.tree import APPLY, AllOf, AnyOf, Comparison, Condition, Not
from services.shared.conditions.values import Operator
from services.shared.db import Database
from services.shared.errors import Conflict
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure

WEEK = Week.parse("2026-W46", "week")
ENDED = datetime(2026, 11, 15, 16, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("health") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


async def planned(db: Database, week: Week = WEEK, rules: Rules | None = None, range_size: int = 5000) -> UUID:
    """A new run of the week, ready to be evaluated."""
    async with db.transaction(actor="machine:test") as write:
        run_id = new_id()
        await evaluations.request(write, run_id, week)
        rule_set_id = (await rule_sets.in_force(write.connection)).id
        if rules:
            rule_set_id = new_id()
            await rule_sets.add(write, rule_set_id, "test", rules)
        await evaluations.plan(write, run_id, rule_set_id, range_size)
    return run_id


async def evaluated(db: Database, run_id: UUID, number: int = 0) -> list[Any]:
    """Evaluates a range of a run and answers whose present health changed."""
    async with db.transaction(actor="machine:test") as write:
        run, row = await evaluations.range_of(write.connection, run_id, number)
        rules = rule_sets.rules_of(await rule_sets.get(write.connection, run.rule_set_id))
        ended = ENDED + timedelta(days=(run.week - WEEK.monday).days)
        return await evaluate_range(write, run, row, rules, ended)


@asynccontextmanager
async def only(db: Database, *rows: dict[str, Any]) -> AsyncIterator[list[UUID]]:
    """A database that holds these customers (seats, days: {day of the week's window: figures}) and nothing else."""
    ids = [new_id() for _ in rows]
    async with db.transaction() as write:
        for table in (customers, usage, health_results, health_current, health_transitions):
            await write.execute(delete(table))
        for customer_id, row in zip(ids, rows, strict=True):
            known = {"id": customer_id, "external_id": str(customer_id), "seats": row.get("seats"),
                     "created_at": row.get("created_at", LONG_AGO), "version": 1}  # fmt: skip
            await write.execute(insert(customers).values(known))
            for day, figures in row["days"].items():
                await write.execute(insert(usage).values(customer_id=customer_id, day=day, **figures))
    yield ids


async def rows_of(db: Database, table: Any) -> dict[UUID, Any]:
    async with db.read() as read:
        return {row.customer_id: row for row in await read.execute(select(table))}


def steady(active: int, *, tickets: int = 0, urgent: int = 0, last: date = WEEK.sunday) -> dict[date, dict[str, int]]:
    """Fourteen days of the same figures."""
    return {last - timedelta(days=back): {"active_users": active, "active_users_14d": active,
            "tickets_opened": tickets, "urgent_tickets_open": urgent} for back in range(14)}  # fmt: skip


async def test_statuses_inputs_and_the_present_come_out_of_one_statement(db: Database) -> None:
    sunday = WEEK.sunday
    late = datetime(2026, 11, 20, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {"seats": 10, "days": steady(9)},
        {"seats": 10, "days": steady(7)},
        {"seats": 10, "days": steady(9, urgent=2)},
        {"seats": None, "days": {sunday: {"active_users": 3}}},
        {"seats": 10, "days": {}},
        {"seats": 10, "days": {}, "created_at": late},
        {"seats": 10, "days": steady(20), "created_at": late},
        {"seats": 10, "days": {sunday + timedelta(days=days): {"active_users": 1} for days in (1, -14)}},
    ]  # fmt: skip
    async with only(db, *rows) as ids:
        changed = await evaluated(db, await planned(db))
        results = await rows_of(db, health_results)
    found = [results[i].status if i in results else None for i in ids]
    assert found == ["EXCELLENT", "FAIR", "AT_RISK", *["INSUFFICIENT_DATA"] * 2, None, "EXCELLENT", "INSUFFICIENT_DATA"]
    assert [one.customer_id for one in changed] == sorted(results)
    assert values_of(results[ids[0]].inputs) == {
        "active_ratio_14d": Decimal("0.9"), "active_days_14d": Decimal(14), "tickets_14d": Decimal(0),
        "urgent_open_tickets_7d": Decimal(0),
    }  # fmt: skip
    assert values_of(results[ids[6]].inputs)["active_ratio_14d"] == 1
    assert set(values_of(results[ids[4]].inputs).values()) == {None}
    assert results[ids[0]].data_until == sunday


async def test_the_last_day_that_has_a_figure_counts(db: Database) -> None:
    days = steady(9, urgent=3)
    for back in (0, 1):
        days[WEEK.sunday - timedelta(days=back)] = {"active_users": 0}
    days[WEEK.sunday - timedelta(days=2)] |= {"urgent_tickets_open": 0, "active_users_14d": 5}
    stale = {WEEK.sunday - timedelta(days=7): {"urgent_tickets_open": 4, "tickets_opened": 1}}
    async with only(db, {"seats": 10, "days": days}, {"seats": 10, "days": stale}) as (fresh_id, stale_id):
        await evaluated(db, await planned(db))
        results = await rows_of(db, health_results)
    fresh = values_of(results[fresh_id].inputs)
    assert (fresh["urgent_open_tickets_7d"], fresh["active_ratio_14d"], fresh["active_days_14d"]) == (
        0,
        Decimal("0.5"),
        12,
    )
    old = values_of(results[stale_id].inputs)
    assert (old["urgent_open_tickets_7d"], old["tickets_14d"]) == (None, 1)


async def test_evaluating_twice_is_evaluating_once(db: Database) -> None:
    async with only(db, {"seats": 10, "days": steady(9)}, {"seats": 10, "days": steady(1)}):
        run_id = await planned(db)
        first = await asyncio.gather(evaluated(db, run_id), evaluated(db, run_id))
        assert sorted(len(changed) for changed in first) == [0, 2]
        before = await rows_of(db, health_results)
        assert await evaluated(db, run_id) == []
        assert await rows_of(db, health_results) == before
        async with db.read() as read:
            progress = await evaluations.progress(read, run_id)
    assert (progress.ranges, progress.ranges_done, progress.customers, progress.transitions) == (1, 1, 2, 2)


async def test_a_past_week_is_computed_for_itself_and_leaves_the_present_alone(db: Database) -> None:
    good = steady(9) | steady(9, last=WEEK.next.sunday)
    async with only(db, {"seats": 10, "days": good}) as (customer,):
        await evaluated(db, await planned(db, WEEK.next))
        async with db.transaction() as write:
            bad = usage.update().where(usage.c.day <= WEEK.sunday).values(active_users_14d=1)
            await write.execute(bad)
        assert await evaluated(db, await planned(db, WEEK)) == []
        assert (await rows_of(db, health_current))[customer].status == "EXCELLENT"
        # the later week again: now it comes after the one that was missing
        run_id = await planned(db, WEEK.next)
        assert await evaluated(db, run_id) == []
        async with db.read() as read:
            weeks = (await read.execute(select(health_results).order_by(health_results.c.week))).all()
            steps = select(health_transitions).where(health_transitions.c.run_id == run_id)
            step = (await read.execute(steps)).one()
    assert [(row.week, row.status, row.previous_status) for row in weeks] == [
        (WEEK.monday, "AT_RISK", "NOT_COMPUTED"),
        (WEEK.next.monday, "EXCELLENT", "AT_RISK"),
    ]
    assert (step.from_status, step.to_status) == ("AT_RISK", "EXCELLENT")


async def test_the_same_week_again_corrects_its_result_and_the_present(db: Database) -> None:
    async with only(db, {"seats": 10, "days": steady(9)}) as (customer,):
        await evaluated(db, await planned(db))
        async with db.transaction() as write:
            await write.execute(usage.update().values(active_users_14d=7))
        changed = await evaluated(db, await planned(db))
        assert [(one.status, one.previous_status) for one in changed] == [("FAIR", "NOT_COMPUTED")]
        assert (await rows_of(db, health_results))[customer].status == "FAIR"
        assert (await rows_of(db, health_current))[customer].status == "FAIR"


async def test_a_run_made_in_the_same_moment_is_not_overlooked(db: Database) -> None:
    week = Week.parse("2026-W50", "week")  # no other test's: the run is the latest
    async with only(db, {"seats": 10, "days": steady(9, last=week.sunday)}) as (customer,):
        run_id = await planned(db, week)
        async with db.transaction(actor="machine:test") as making:
            await evaluations.request(making, new_id(), week)
            at_work = asyncio.create_task(evaluated(db, run_id))

            async def done_or_held() -> bool:
                held = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                async with db.read() as read:
                    return at_work.done() or bool((await read.execute(text(held))).scalar_one())

            await eventually(done_or_held)
        with pytest.raises(Conflict):
            await at_work
        assert [one.customer_id for one in await evaluated(db, run_id)] == [customer]


async def test_ranges_cover_everybody_once(db: Database) -> None:
    async with only(db, *({"seats": 10, "days": steady(9)} for _ in range(7))) as ids:
        run_id = await planned(db, range_size=3)
        changed = [one.customer_id for number in range(3) for one in await evaluated(db, run_id, number)]
    assert changed == sorted(ids)


numbers = st.sampled_from([Decimal(text) for text in ("0", "0.3", "0.5", "0.75", "1", "2", "3", "5", "9", "14")])
fields = st.sampled_from(sorted(FIELDS))
comparisons = st.one_of(
    st.builds(Comparison, fields, st.sampled_from(list(APPLY)), numbers),
    st.builds(
        Comparison, fields, st.just(Operator.ONE_OF), values=st.lists(numbers, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(Comparison, fields, st.just(Operator.KNOWN)),
)
conditions = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        st.builds(AllOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)
figures = st.fixed_dictionaries({}, optional={
    "active_users": st.integers(0, 4), "active_users_14d": st.integers(0, 12), "tickets_opened": st.integers(0, 3),
    "urgent_tickets_open": st.integers(0, 3),
})  # fmt: skip
window = st.dictionaries(st.integers(0, 16).map(lambda back: WEEK.sunday - timedelta(days=back)), figures, max_size=6)
customer_rows = st.fixed_dictionaries({"seats": st.none() | st.integers(0, 12), "days": window})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions, conditions, st.sampled_from(["0.1", "0.5", "1"]), st.lists(customer_rows, min_size=1, max_size=6))
async def test_sql_finds_what_the_rules_in_python_find(
    db: Database, at_risk: Condition, excellent: Condition, share: str, rows: list[dict[str, Any]]
) -> None:
    rules = Rules(at_risk, excellent, Decimal(share))
    async with only(db, *rows) as ids:
        await evaluated(db, await planned(db, rules=rules))
        results = await rows_of(db, health_results)
    for customer_id, row in zip(ids, rows, strict=True):
        found = values_of(results[customer_id].inputs)
        assert found == by_hand(row["seats"], row["days"])
        assert Status(results[customer_id].status) is status(rules, found)


def by_hand(seats: int | None, days: dict[date, dict[str, int]]) -> dict[str, Decimal | None]:
    """The metrics, computed in another way than by SQL."""
    newest_first = [days[day] for day in sorted(days, reverse=True) if day > WEEK.sunday - timedelta(days=14)]
    last_week = [days[day] for day in sorted(days, reverse=True) if day > WEEK.sunday - timedelta(days=7)]

    def told(rows: list[dict[str, int]], figure: str) -> list[int]:
        return [row[figure] for row in rows if figure in row]

    active, users = told(newest_first, "active_users_14d"), told(newest_first, "active_users")
    tickets, urgent = told(newest_first, "tickets_opened"), told(last_week, "urgent_tickets_open")
    ratio = round(min(Decimal(active[0]) / seats, Decimal(1)), 6) if active and seats else None
    return {
        "active_ratio_14d": ratio,
        "active_days_14d": Decimal(sum(count > 0 for count in users)) if users else None,
        "tickets_14d": Decimal(sum(tickets)) if tickets else None,
        "urgent_open_tickets_7d": Decimal(urgent[0]) if urgent else None,
    }


async def inputs_told(db: Database, run_id: UUID, number: int = 0) -> dict[UUID, dict[str, str | None]]:
    """Evaluates a range of a run and answers what others are told that the results were computed from."""
    found = await evaluated(db, run_id, number)
    return {one.customer_id: json.loads(one.inputs) for one in found if one.inputs is not None}


async def test_inputs_are_told_when_they_are_other_ones_than_those_told_before(db: Database) -> None:
    before, sunday = WEEK.previous, WEEK.previous.sunday
    both = steady(9, last=sunday) | steady(9)
    fewer = {day: figures for day, figures in steady(5).items() if day > sunday}
    async with only(db, {"seats": 10, "days": both}, {"seats": 10, "days": both | fewer}) as (same, less):
        first = await inputs_told(db, await planned(db, before))
        assert {id_: told["active_ratio_14d"] for id_, told in first.items()} == {same: "0.9", less: "0.9"}
        second = await inputs_told(db, await planned(db))
        assert {id_: told["active_ratio_14d"] for id_, told in second.items()} == {less: "0.5"}
        assert await inputs_told(db, await planned(db)) == {}  # the same week again


async def test_inputs_of_a_week_before_others_are_not_told(db: Database) -> None:
    both = steady(9, last=WEEK.previous.sunday) | steady(5)
    async with only(db, {"seats": 10, "days": both}) as (customer_id,):
        assert set(await inputs_told(db, await planned(db))) == {customer_id}
        assert await inputs_told(db, await planned(db, WEEK.previous)) == {}


async def test_the_plan_reads_the_range_and_does_not_loop_over_aggregates(db: Database) -> None:
    async with only(db):
        await fill(db, 20_000)
        run_id = await planned(db, range_size=2_000)
        for latest in (True, False):
            plan = await plan_of(db, run_id, latest)
            scans = [node["Node Type"] for node in nodes(plan) if node.get("Relation Name") == "usage"]
            assert scans
            assert set(scans) <= {"Index Only Scan", "Index Scan", "Bitmap Heap Scan"}, json.dumps(plan, indent=1)
            inner = [loop["Plans"][1] for loop in nodes(plan) if loop["Node Type"] == "Nested Loop"]
            assert not [node for loop in inner for node in nodes(loop) if node["Node Type"] == "Aggregate"]
        async with db.transaction(actor="machine:test") as write:
            run, row = await evaluations.range_of(write.connection, run_id, 4)
            rules = rule_sets.rules_of(await rule_sets.get(write.connection, run.rule_set_id))
            assert len(await evaluate_range(write, run, row, rules, ENDED)) == 2_000
            mode = (await write.execute(text("show plan_cache_mode"))).scalar_one()
        assert mode == "force_generic_plan"


async def fill(db: Database, count: int) -> None:
    """Customers with 14 days each, analyzed."""
    async with db.transaction() as write:
        parameters = {"sunday": WEEK.sunday, "count": count}
        for fill_in in (
            """insert into customers (id, external_id, seats, created_at, version)
               select uuidv7(), 'F-' || n, 10, '2026-01-01', 1 from generate_series(1, :count) n""",
            """insert into usage (customer_id, day, active_users, active_users_14d, tickets_opened, urgent_tickets_open)
               select id, cast(:sunday as date) - back, 5, 9, 0, 0 from customers, generate_series(0, 13) back""",
        ):
            await write.execute(text(fill_in), parameters)
    async with db.read() as read:
        await read.execute(text("vacuum analyze customers"))
        await read.execute(text("vacuum analyze usage"))


async def plan_of(db: Database, run_id: UUID, latest: bool) -> dict[str, Any]:
    """The plan that Postgres makes of the range's statement without looking at its parameters."""
    async with db.read() as read:
        run, _ = await evaluations.range_of(read, run_id, 0)
        rules = rule_sets.rules_of(await rule_sets.get(read, run.rule_set_id))
        # a dialect of numbered parameters ($1), which is what this kind of explain takes
        compiled = statement(rules, latest).compile(dialect=asyncpg.dialect())
        rows = await read.exec_driver_sql(f"explain (generic_plan, format json) {compiled}")
        return rows.scalar_one()[0]["Plan"]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes(part))]
