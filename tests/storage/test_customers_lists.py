"""Lists of customers are exactly what their definition says, however they are read; and they follow every change."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, literal_column, select, update

from services.customers.storage import lists
from services.customers.storage.labels import LISTED, follow_health
from services.customers.storage.lists import Order, Wanted
from services.customers.storage.owners import count_owned, hand_over
from services.customers.storage.ownership import refresh_lists
from services.customers.storage.tables import customers, metadata, owned_customers
from services.customers.storage.tables import labels as labels_table
from services.shared.access import EVERYTHING, Scope
from services.shared.access.tables import customer_access
from services.shared.clock import utc_now
from services.shared.db import Database
from tests.support.infrastructure import TestInfrastructure

TODAY = date(2026, 11, 22)
DAY = timedelta(days=1)
EMPLOYEES = [UUID(int=n + 1) for n in range(12)]
ROLES = ["CSM", "ANALYST", "SALES_MANAGER"]
LABELS = {"t:rare": 0.02, "t:some": 0.2, "t:often": 0.6, "g:old": 0.1, "s:large": 0.5, "s:small": 0.05}
HEALTH = [None, "AT_RISK", "FAIR"]
PERIODS = [
    (date.min, date.max),
    (date.min, date.max),
    (TODAY, TODAY),
    (date.min, TODAY - DAY),
    (TODAY + DAY, date.max),
    (TODAY - DAY, TODAY + DAY),
]
SORTS = {
    "NAME": lambda c: c["name"],
    "NUMBER": lambda c: c["number_key"],
    "LAST_CONTRACT_END": lambda c: c["last_contract_end"] or date.max,
    "CREATED_AT": lambda c: c["created_at"],
}


@dataclass
class World:
    """What the database holds, as plain Python."""

    customers: list[dict[str, Any]] = field(default_factory=list)
    owners: dict[UUID, dict[str, tuple[UUID, date, date]]] = field(default_factory=dict)
    labels: dict[UUID, set[str]] = field(default_factory=dict)

    def carried(self, customer: dict[str, Any]) -> set[str]:
        return self.labels[customer["id"]] | {f"h:{customer['health_status']}"}

    def owned_by(self, customer_id: UUID, employees: Sequence[UUID], today: date) -> bool:
        return any(
            employee in employees and since <= today <= until
            for employee, since, until in self.owners[customer_id].values()
        )

    def found(self, wanted: Wanted, order: Order) -> list[UUID]:
        """The definition of a list."""
        rows = [
            c
            for c in self.customers
            if wanted.churned in (None, (c["last_contract_end"] or date.max) < wanted.today)
            and c["name"].startswith(wanted.name_prefix)
            and set(wanted.labels) <= self.carried(c)
            and not set(wanted.without) & self.carried(c)
            and not (wanted.no_health and c["health_status"])
            and all(self.owned_by(c["id"], employees, wanted.today) for employees in wanted.owned_by)
        ]
        rows.sort(key=lambda c: (SORTS[order.sort](c), c["id"]), reverse=order.descending)
        return [c["id"] for c in rows]


def a_customer(chance: random.Random, number: int) -> dict[str, Any]:
    ends = [None, TODAY, TODAY - DAY, TODAY + DAY, TODAY + 100 * DAY, TODAY - 100 * DAY]
    return {"id": UUID(int=chance.getrandbits(128)), "number": f"N{number}", "number_key": number,
            "external_id": f"E{number}", "source": "test", "name": f"{chance.choice('AB云')}{chance.randrange(40)}",
            "kind": "ENTERPRISE", "last_contract_end": chance.choice(ends), "contract_end_version": 0, "version": 1,
            "health_status": chance.choice(HEALTH),
            "created_at": datetime(2026, 1, chance.randrange(1, 28), tzinfo=UTC),
            "updated_at": datetime(2026, 1, 1, tzinfo=UTC)}  # fmt: skip


def owners_of(chance: random.Random) -> dict[str, tuple[UUID, date, date]]:
    roles = [role for role in ROLES if chance.random() < 0.5]
    return {role: (chance.choice(EMPLOYEES), *chance.choice(PERIODS)) for role in roles}


def labels_of(chance: random.Random) -> set[str]:
    return {label for label, share in LABELS.items() if chance.random() < share}


async def put(db: Database, world: World, ids: Sequence[UUID]) -> None:
    """Owners and labels of these customers, as the world has them."""
    sorted_by = ("name", "number_key", "created_at")
    known = {c["id"]: c for c in world.customers}
    access = [
        {"customer_id": id_, "role": role, "employee_id": employee, "valid_from": since, "valid_to": until}
        for id_ in ids
        for role, (employee, since, until) in world.owners[id_].items()
    ]
    tagged = [
        {"customer_id": id_, "label": label, "given_by": "",
         "contract_end_key": known[id_]["last_contract_end"] or date.max,
         **{name: known[id_][name] for name in sorted_by}}
        for id_ in ids for label in world.labels[id_]
    ]  # fmt: skip
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(delete(customer_access).where(customer_access.c.customer_id.in_(ids)))
        await write.execute(delete(labels_table).where(labels_table.c.customer_id.in_(ids)))
        for table, rows in ((customer_access, access), (labels_table, tagged)):
            if rows:
                await write.execute(insert(table), rows)
        await refresh_lists(write, ids)
        await follow_health(write, ids)


async def a_world(db: Database, seed: int, size: int) -> World:
    chance = random.Random(seed)
    world = World([a_customer(chance, number) for number in range(size)])
    for customer in world.customers:
        world.owners[customer["id"]], world.labels[customer["id"]] = owners_of(chance), labels_of(chance)
    async with db.transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(insert(customers), world.customers)
    await put(db, world, [c["id"] for c in world.customers])
    return world


@pytest.fixture(scope="module")
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        yield db
        await db.close()


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await a_world(db, 7, 400)


@pytest.fixture(params=[100, 3], ids=["merged", "walked first"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to how many employees lists are merged at once; what is few among so few customers."""
    monkeypatch.setattr(lists, "FEW_EMPLOYEES", request.param)
    monkeypatch.setattr(lists, "FEW", 20)
    monkeypatch.setattr(lists, "LEAST_BUDGET", 5)
    monkeypatch.setattr(lists, "TIMES_EXPECTED", 1)


SCOPES = st.one_of(
    st.just(EVERYTHING),
    st.lists(st.sampled_from(EMPLOYEES), unique=True, max_size=12).map(lambda e: Scope(False, tuple(sorted(e)), TODAY)),
)
WANTED = st.builds(
    lambda scope, owners, **asked: Wanted.within(scope, owners, TODAY, **asked),
    SCOPES,
    st.lists(st.sampled_from(EMPLOYEES), max_size=2),
    churned=st.sampled_from([False, True, None]),
    name_prefix=st.sampled_from(["", "", "A", "云1", "C"]),
    labels=st.lists(st.sampled_from([*LABELS, "h:AT_RISK", "t:none"]), unique=True, max_size=3).map(tuple),
    without=st.lists(st.sampled_from([*LABELS, "t:none"]), unique=True, max_size=2).map(tuple),
    no_health=st.sampled_from([False, False, True]),
)
FOUND = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FOUND
@given(wanted=WANTED, sort=st.sampled_from(list(SORTS)), descending=st.booleans(), size=st.sampled_from([1, 2, 7, 60]))
async def test_pages_put_together_are_what_the_definition_says(
    db: Database, world: World, few: None, wanted: Wanted, sort: str, descending: bool, size: int
) -> None:
    found: list[UUID] = []
    order = Order(sort, descending)
    while rows := await lists.page(db, wanted, order, size):
        found += [row.id for row in rows]
        order = Order(sort, descending, lists.position(rows[-1], sort))
    counted = await lists.count(db, wanted)
    assert found == world.found(wanted, order)
    assert counted == len(found)


@pytest.mark.parametrize("churned", [False, True], ids=["running", "churned"])
async def test_a_page_asked_for_after_midnight_shows_none_of_the_day_before(
    db: Database, world: World, churned: bool
) -> None:
    wanted = Wanted(TODAY, churned=churned)
    order = Order("LAST_CONTRACT_END", descending=churned)
    other_side = TODAY + 50 * DAY if churned else TODAY - 50 * DAY
    rows = await lists.page(db, wanted, Order(order.sort, churned, [other_side, UUID(int=5)]), 500)
    assert [row.id for row in rows] == world.found(wanted, order)


async def test_counts_end_at_their_bound(db: Database, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 10)
    for scope in (EVERYTHING, Scope(False, tuple(EMPLOYEES), TODAY)):
        assert await lists.count(db, Wanted.within(scope, [], TODAY)) == 11


def test_whoever_is_in_scope_narrows_nothing_and_whoever_is_not_does() -> None:
    one, two, three = EMPLOYEES[:3]
    scope = Scope(False, (one, two), TODAY)
    assert Wanted.within(scope, [one, one], TODAY).owned_by == ((one,),)
    assert Wanted.within(scope, [one, three], TODAY).owned_by == ((one,), (three,))
    assert Wanted.within(scope, [three], TODAY).owned_by == ((three,), (one, two))
    assert Wanted.within(scope, [], TODAY).owned_by == ((one, two),)
    assert Wanted.within(EVERYTHING, [three], TODAY).owned_by == ((three,),)
    assert Wanted.within(EVERYTHING, [], TODAY).owned_by == ()


async def listed(db: Database) -> dict[tuple[UUID, UUID, str, date], tuple[Any, ...]]:
    async with db.read(unscoped="a test") as read:
        rows = (await read.execute(select(owned_customers))).all()
    return {
        (r.customer_id, r.employee_id, r.label, r.valid_from): (r.valid_to, r.name, r.number_key, r.contract_end_key)
        for r in rows
    }


async def test_lists_follow_owners_tags_and_what_is_sorted_by(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        world, chance = await a_world(db, 3, 60), random.Random(5)
        for _ in range(8):
            changed = chance.sample(world.customers, 12)
            ids = [c["id"] for c in changed]
            for customer in changed:
                world.owners[customer["id"]], world.labels[customer["id"]] = owners_of(chance), labels_of(chance)
            await put(db, world, ids)
            for customer in chance.sample(world.customers, 5):
                customer["name"], customer["last_contract_end"] = f"New {chance.random()}", chance.choice([None, TODAY])
                fresh = {name: customer[name] for name in ("name", "last_contract_end")}
                async with db.transaction(actor="machine:test", unscoped="a test") as write:
                    await write.execute(update(customers).where(customers.c.id == customer["id"]).values(fresh))
                    await refresh_lists(write, [customer["id"]])
            kept = await listed(db)
            days = [date.min, TODAY - DAY, TODAY, TODAY + DAY, date.max]
            for customer in world.customers:
                for employee in EMPLOYEES:
                    for label in ("", *LABELS):
                        mine = [(key, row) for key, row in kept.items() if key[:3] == (customer["id"], employee, label)]
                        carried = not label or (label in world.labels[customer["id"]] and label.startswith(LISTED))
                        for day in days:
                            owned = world.owned_by(customer["id"], [employee], day)
                            assert sum(key[3] <= day <= row[0] for key, row in mine) == (owned and carried)
                        end = customer["last_contract_end"] or date.max
                        assert {row[1:] for _, row in mine} <= {(customer["name"], customer["number_key"], end)}
        await db.close()


async def test_a_refresh_writes_only_what_differs(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        world = await a_world(db, 3, 60)
        places = select(owned_customers.c.customer_id, owned_customers.c.label, owned_customers.c.employee_id,
                        owned_customers.c.valid_from)  # fmt: skip
        placed = places.add_columns(literal_column("ctid::text").label("ctid"))
        async with db.read(unscoped="a test") as read:
            before = (await read.execute(placed)).all()
        await put(db, World(world.customers, world.owners, world.labels), [c["id"] for c in world.customers])
        async with db.read(unscoped="a test") as read:
            assert (await read.execute(placed)).all() == before
        await db.close()


async def test_who_leaves_hands_over_what_he_owns_now_and_later(infrastructure: TestInfrastructure) -> None:
    left, successor = EMPLOYEES[:2]
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        world = await a_world(db, 11, 100)
        async with db.transaction(actor="machine:test", unscoped="a test") as write:
            changed = {entry.customer_id for entry in await hand_over(write, left, successor, TODAY)}
            await refresh_lists(write, sorted(changed))
        his = {
            id_ for id_, owners in world.owners.items() for who, _, until in owners.values()
            if who == left and until >= TODAY
        }  # fmt: skip
        assert changed == his
        for id_ in his:
            world.owners[id_] = {
                role: (successor if who == left and until >= TODAY else who, since, until)
                for role, (who, since, until) in world.owners[id_].items()
            }
        wanted = Wanted.within(EVERYTHING, [successor], TODAY)
        rows = await lists.page(db, wanted, Order("NAME"), 500)
        async with db.read(unscoped="a test") as read:
            assert await count_owned(read, EVERYTHING, left, TODAY) == 0
            versions = await read.execute(select(customers.c.id).where(customers.c.version == 2))
            assert {row.id for row in versions} == his
        assert [row.id for row in rows] == world.found(wanted, Order("NAME"))
        async with db.transaction(actor="machine:test", unscoped="a test") as write:
            assert await hand_over(write, left, successor, TODAY) == []
        await db.close()
