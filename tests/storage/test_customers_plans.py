"""A page of customers reads little more than it shows, whoever asks, however it is sorted, and wherever it begins."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from services.customers.storage import lists
from services.customers.storage.list_statements import SORTS
from services.customers.storage.lists import Order, Wanted
from services.customers.storage.tables import metadata
from services.shared.access import EVERYTHING, Scope
from services.shared.access.ids import Ids
from services.shared.clock import utc_now
from services.shared.db import Database, HotQuery
from tests.support import many_customers
from tests.support.infrastructure import TestInfrastructure
from tests.support.many_customers import Size, employee, members

SIZE = Size(customers=40_000, employees=300)
TODAY = date(2026, 11, 22)
PAGE = 50


def department(level: int, number: int) -> Scope:
    return Scope(False, tuple(employee(n) for n in members(level, number, SIZE)), TODAY)


SCOPES = {
    "own": Scope(False, (employee(3),), TODAY),
    "small department": department(3, 2),
    "large department": department(2, 1),
    "company": department(1, 0),
    "all": EVERYTHING,
    "small department of the newest": department(3, 20),
    "large department of the newest": department(2, 4),
}


@pytest.fixture(scope="module")
async def url(infrastructure: TestInfrastructure) -> AsyncIterator[str]:
    async with infrastructure.new_database("customers") as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            many_customers.fill(connection, SIZE, [])
        yield url


@pytest.fixture(scope="module")
async def db(url: str) -> AsyncIterator[Database]:
    database = Database(url, utc_now, metadata)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large departments are some with more than 20 employees here."""
    monkeypatch.setattr(lists, "FEW_EMPLOYEES", 20)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


async def plans_of(db: Database, url: str, wanted: Wanted, order: Order, *, generic: bool) -> list[dict[str, Any]]:
    """The nodes of the plans of what a page executes, as they were run; `generic`: planned without the values."""
    recorder: Any = Recorder(db)
    await lists.page(recorder, wanted, order, PAGE + 1)
    found: list[dict[str, Any]] = []
    mode = f"set plan_cache_mode = force_{'generic' if generic else 'custom'}_plan"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(mode.encode())
        for statement, parameters in recorder.seen:
            names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
            for number, name in enumerate(names, 1):
                statement = statement.replace(f"%({name})s", f"${number}")
            connection.execute(f"prepare page as {statement}".encode())
            values = sql.SQL(", ").join(sql.Literal(literal(parameters[name])) for name in names)
            arguments = sql.SQL("({})").format(values) if names else sql.SQL("")
            explained = sql.SQL("explain (analyze, format json) execute page {}").format(arguments)
            [row] = connection.execute(explained).fetchall()
            found += nodes((json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"])
            connection.execute("deallocate page")
    return found


def literal(value: Any) -> Any:
    return list(value) if isinstance(value, Ids) else value


class Recorder:
    """Passes queries on to the database, and remembers them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.seen: list[tuple[str, dict[str, Any]]] = []

    async def one(self, query: HotQuery, **values: Any) -> Any:
        return await self._db.one(query, **values)

    async def all(self, query: HotQuery, **values: Any) -> list[Any]:
        self.seen.append((query.sql, values))
        return await self._db.all(query, **values)


async def middle(db: Database, sort: str, scope: Scope) -> list[Any]:
    """Where a page in the middle of the list begins."""
    some = Wanted.within(Scope(False, scope.employees[:1], TODAY), [], TODAY) if scope.employees else Wanted(TODAY)
    rows = await lists.page(db, some, Order(sort), 100)
    return lists.position(rows[len(rows) // 2], sort)


def touched(node: dict[str, Any]) -> float:
    """How many rows a scan looked at."""
    removed = node.get("Rows Removed by Filter", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


@pytest.mark.parametrize(
    ("tag", "generic"),
    [("", False), ("", True), ("often", True), ("rare", False)],
    ids=["values known", "generic", "often-generic", "rare-values known"],
)
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("who", SCOPES)
async def test_a_page_reads_by_index_little_more_than_it_shows(
    db: Database, url: str, who: str, sort: str, tag: str, generic: bool
) -> None:
    scope = SCOPES[who]
    wanted = Wanted.within(scope, [], TODAY, labels=(f"t:{tag}",) if tag else ())
    start = await middle(db, sort, scope)
    for order in (Order(sort), Order(sort, descending=True), Order(sort, after=start)):
        found = await plans_of(db, url, wanted, order, generic=generic)
        scans = [node for node in found if "Relation Name" in node]
        assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
        lists_read = [node for node in scans if node["Relation Name"] == "owned_customers"]
        assert {node["Node Type"] for node in lists_read} <= {"Index Only Scan"}
        # A few rows of each employee's list, a walk of six pages, or of twenty of a tag, with the three owners of each
        # row, and the page.
        most = 5 * len(scope.employees) + (75 if tag else 30) * PAGE
        for node in found:
            if "Relation Name" in node or node["Node Type"] in ("Sort", "Incremental Sort"):
                assert touched(node) <= most, (node["Node Type"], node.get("Relation Name"), order)
        assert sum(touched(node) for node in lists_read) <= most


FILTERS: dict[str, dict[str, Any]] = {
    "two tags": {"labels": ("t:often", "t:some")},
    "segment": {"labels": (f"s:{many_customers.SEGMENT.hex}",)},
    "segment and tag": {"labels": (f"s:{many_customers.SEGMENT.hex}", "t:some")},
    "group without tag": {"labels": (f"g:{many_customers.GROUP.hex}",), "without": ("t:often",)},
    "at risk": {"labels": ("h:AT_RISK",)},
    "never computed": {"no_health": True},
    "few names": {"name_prefix": "a1"},
    "many names": {"name_prefix": "b"},
}


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("who", SCOPES)
async def test_a_filtered_page_begins_where_little_is_looked_at_in_vain(
    db: Database, url: str, who: str, filter_: str
) -> None:
    wanted = Wanted.within(SCOPES[who], [], TODAY, **FILTERS[filter_])
    for sort in SORTS:
        found = await plans_of(db, url, wanted, Order(sort), generic=True)
        scans = [node for node in found if "Relation Name" in node]
        assert not [node for node in scans if node["Node Type"] == "Seq Scan"], (sort, filter_)
        # A budgeted walk that was in vain, and a merge of lists with a look at the labels of each of their rows: as
        # many however many customers there are.
        met = [node for node in scans if node["Relation Name"] != "customer_access"]
        assert sum(map(touched, met)) <= 12_000, (sort, [(n["Relation Name"], touched(n)) for n in met])


async def test_a_page_of_one_owner_reads_his_list_no_further_than_the_page(db: Database, url: str) -> None:
    found = await plans_of(db, url, Wanted.within(SCOPES["own"], [], TODAY), Order("NAME"), generic=True)
    [own] = [node for node in found if node.get("Relation Name") == "owned_customers"]
    assert own["Index Name"] == "owned_customers_by_name"
    assert own["Actual Rows"] == PAGE + 1


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
async def test_a_deep_page_does_not_read_its_index_from_where_a_filter_begins(
    db: Database, url: str, descending: bool
) -> None:
    start = await middle(db, "LAST_CONTRACT_END", EVERYTHING)
    wanted = Wanted(date(2030, 1, 1), churned=True) if descending else Wanted(TODAY)  # nearly all have churned by then
    order = Order("LAST_CONTRACT_END", descending, start)
    found = await plans_of(db, url, wanted, order, generic=True)
    [walk] = [node for node in found if node.get("Index Name") == "customers_by_contract_end"]
    assert walk["Actual Rows"] == PAGE + 1
    assert walk["Shared Hit Blocks"] + walk["Shared Read Blocks"] <= 10


async def test_a_count_ends_where_it_is_capped(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 1000)
    for scope in (EVERYTHING, SCOPES["company"]):
        assert await lists.count(db, Wanted.within(scope, [], TODAY)) == 1001


def test_members_of_departments_are_apart_and_together_everybody() -> None:
    found = [number for below in range(25) for number in members(3, below, SIZE)]
    assert sorted(found) == list(range(SIZE.employees))
    assert isinstance(employee(1), UUID)
