"""Pages of a timeline: in their order, each entry once, synchronisation folded, at a cost that is the page's."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from services.customers.storage import timeline as storage
from services.customers.storage.tables import metadata, timeline
from services.customers.storage.timeline import Wanted
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

START = datetime(2026, 11, 1, tzinfo=UTC)
KINDS = ("ATTRIBUTES", "CONTACT", "TASK", "TAG")


@pytest.fixture(scope="module")
async def url(infrastructure: TestInfrastructure) -> AsyncIterator[str]:
    async with infrastructure.new_database("customers") as url:
        yield url


@pytest.fixture(scope="module")
async def db(url: str) -> AsyncIterator[Database]:
    db = Database(url, utc_now, metadata)
    yield db
    await db.close()


async def put(db: Database, customer_id: UUID, entries: list[tuple[str, str, int]]) -> list[UUID]:
    """Entries (kind, origin, minutes after START); answers their ids."""
    rows: list[dict[str, Any]] = [
        {"customer_id": customer_id, "id": new_id(), "occurred_at": START + timedelta(minutes=minutes), "kind": kind,
         "origin": origin, "actor": "machine:test", "object_id": "", "what": "changed", "facts": {}, "changes": {}}
        for kind, origin, minutes in entries
    ]  # fmt: skip
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(delete(timeline).where(timeline.c.customer_id == customer_id))
        if rows:
            await write.execute(insert(timeline), rows)
    return [row["id"] for row in rows]


async def all_pages(db: Database, customer_id: UUID, wanted: Wanted, size: int) -> list[Any]:
    found: list[Any] = []
    before = None
    while rows := await storage.page(db, customer_id, wanted, before, size):
        found += rows
        before = (rows[-1].oldest, rows[-1].oldest_id)
    return found


def folded(entries: list[tuple[str, str, int]], ids: list[UUID], wanted: Wanted) -> list[tuple[UUID, int, set[str]]]:
    """What the pages must hold, found the slow way: (newest entry, how many, their kinds)."""
    shown = [
        (START + timedelta(minutes=minutes), id_, kind, origin)
        for (kind, origin, minutes), id_ in zip(entries, ids, strict=True)
        if wanted.holds(kind, START + timedelta(minutes=minutes))
    ]
    found: list[tuple[UUID, int, set[str]]] = []
    last = ""
    for _at, id_, kind, origin in sorted(shown, reverse=True):
        if not wanted.unfolded and origin == last == "SYNC":
            newest, many, kinds = found.pop()
            found.append((newest, many + 1, kinds | {kind}))
        else:
            found.append((id_, 1, {kind}))
        last = origin
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    entries=st.lists(
        st.tuples(st.sampled_from(KINDS), st.sampled_from(["SYNC", "SYNC", "PERSON"]), st.integers(0, 20)), max_size=25
    ),
    size=st.integers(1, 7),
    kinds=st.sets(st.sampled_from(KINDS)),
    since=st.integers(0, 10),
    until=st.integers(10, 30),
    unfolded=st.booleans(),
)
async def test_pages_hold_each_entry_once_however_they_are_cut(
    db: Database, entries: Any, size: int, kinds: set[str], since: int, until: int, unfolded: bool
) -> None:
    customer_id = new_id()
    ids = await put(db, customer_id, entries)
    first, last = START + timedelta(minutes=since), START + timedelta(minutes=until)
    wanted = Wanted(tuple(sorted(kinds)), first, last, unfolded)
    rows = await all_pages(db, customer_id, wanted, size)
    assert [(row.id, row.entries, set(row.kinds)) for row in rows] == folded(entries, ids, wanted)


async def test_what_happens_meanwhile_moves_no_later_page(db: Database) -> None:
    customer_id = new_id()
    ids = await put(db, customer_id, [("TASK", "PERSON", n) for n in range(6)])
    first = await storage.page(db, customer_id, Wanted(), None, 3)
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await storage.add(write, [storage.Entry(customer_id, "TASK", "created")])
    second = await storage.page(db, customer_id, Wanted(), (first[-1].oldest, first[-1].oldest_id), 3)
    assert [row.id for row in (*first, *second)] == ids[::-1]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


async def test_a_page_of_ten_thousand_entries_reads_little_more_than_it_shows(db: Database, url: str) -> None:
    busy = new_id()
    await put(db, busy, [("TASK" if n % 3 else "ATTRIBUTES", "PERSON", n) for n in range(10_000)])
    for _ in range(5):
        await put(db, new_id(), [("TASK", "PERSON", n) for n in range(1000)])
    values = {
        "customer_id": busy, "before": START + timedelta(minutes=7000), "before_id": storage.LAST_ID,
        "since": storage.EVER, "until": storage.NEVER, "kinds": [], "unfolded": False, "size": 51,
    }  # fmt: skip
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("vacuum analyze timeline")
        connection.execute("set plan_cache_mode = force_generic_plan")
        sql = f"explain (analyze, buffers, format json) {storage._PAGE.sql}"
        [[[explained]]] = connection.execute(sql.encode(), values, prepare=True).fetchall()  # type: ignore[arg-type]
    found = list(nodes(explained["Plan"]))
    scans = [node for node in found if "Scan" in node["Node Type"] and node.get("Relation Name") == "timeline"]
    assert {node["Node Type"] for node in scans} <= {"Index Only Scan", "Index Scan"}, json.dumps(explained)[:3000]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) < 250, json.dumps(explained)[:3000]
    assert any(node.get("Run Condition") for node in found)
