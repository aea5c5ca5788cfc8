"""Scope: statements on what is bound to a customer select exactly what is in it, or don't run."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    Executable,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from services.shared.access import EVERYTHING, Scope, unscoped
from services.shared.access.ids import IdArray, Ids
from services.shared.access.scope import FEW_EMPLOYEES, UnscopedStatement
from services.shared.access.tables import customer_access
from services.shared.access.tables import customers as known_customers
from services.shared.db import Database
from services.shared.db.hot import HotQuery
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure
from tests.support.notes import SHAPES, TODAY, ann, bob, eve, everybody, free, note, notes, notes_database, own, seen


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with notes_database(infrastructure) as database:
        yield database


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_ids_reach_postgres_as_they_are(db: Database, number: int) -> None:
    ids = [new_id() for _ in range(number)]
    given = func.unnest(bindparam("ids", Ids(ids), IdArray()))
    async with db.read() as read:
        assert list((await read.execute(select(given))).scalars()) == ids


# --- the hook


UNSCOPED: dict[str, Executable] = {
    "select": select(notes),
    "count": select(func.count()).select_from(notes),
    "alias": select(notes.alias("n").c.id),
    "sub-select": select(free).where(free.c.id.in_(select(notes.c.id))),
    "exists": select(free).where(select(notes.c.id).where(notes.c.id == free.c.id).exists()),
    "cte": select(select(notes.c.id).cte("theirs").c.id),
    "join": select(free).join(notes, notes.c.id == free.c.id),
    "lock": select(notes.c.id).with_for_update(),
    "insert": insert(notes).values(customer_id=ann, body=""),
    "insert from select": insert(free).from_select(["id"], select(notes.c.id)),
    "update": update(notes).values(body="x"),
    "delete": delete(notes),
    "text": text("select * from notes"),
    "text in capitals": text("SELECT * FROM Public.NOTES"),
    "text as cte": text("with n as (delete from notes returning id) select * from n"),
    "owners": select(customer_access),
    "owners in text": text("select * from kit.customer_access"),
}


@pytest.mark.parametrize("name", UNSCOPED)
async def test_an_unscoped_statement_on_a_bound_table_does_not_run(db: Database, name: str) -> None:
    await note(db, ann)
    with pytest.raises(UnscopedStatement):
        async with db.read() as read:
            await read.execute(UNSCOPED[name])
    with pytest.raises(UnscopedStatement):
        async with db.transaction(actor="machine:test") as write:
            await write.execute(UNSCOPED[name])
    async with db.read(unscoped="what is left") as read:
        assert (await read.execute(select(notes.c.body))).scalars().all() == [""]


async def test_an_unscoped_insert_of_many_rows_does_not_run(db: Database) -> None:
    with pytest.raises(UnscopedStatement):
        async with db.transaction(actor="machine:test") as write:
            await write.execute(insert(notes), [{"customer_id": ann, "body": ""}] * 3)


async def test_an_unscoped_statement_does_not_run_in_a_snapshot(db: Database) -> None:
    with pytest.raises(UnscopedStatement):
        async with db.snapshot() as read:
            await read.execute(select(notes))


async def test_an_unscoped_hot_query_does_not_run(db: Database) -> None:
    by_id = select(notes).where(notes.c.id == bindparam("id"))
    with pytest.raises(UnscopedStatement):
        await db.one(HotQuery(by_id), id=1)
    assert await db.one(HotQuery(unscoped(by_id, "a test")), id=1) is None


async def test_a_copy_into_a_bound_table_does_not_run(db: Database) -> None:
    async with db.read() as read:
        driver: Any = (await read.get_raw_connection()).driver_connection
        for statement in ("copy notes (customer_id) from stdin", b"copy public.notes to stdout"):
            with pytest.raises(UnscopedStatement):
                async with driver.cursor() as cursor, cursor.copy(statement):
                    pass
        async with driver.cursor() as cursor, cursor.copy("copy free from stdin") as copy:
            await copy.write_row((1,))


async def test_scoped_statements_and_those_that_say_why_they_need_none_run(db: Database) -> None:
    await note(db, ann)
    async with db.read() as read:
        for statement in (EVERYTHING.limit(select(notes), notes.c.customer_id), unscoped(select(notes), "a test")):
            assert len((await read.execute(statement)).all()) == 1
    async with db.read(unscoped="a test") as read:
        assert len((await read.execute(select(notes))).all()) == 1
    async with db.read() as read:  # the exemption ended with its connection
        with pytest.raises(UnscopedStatement):
            await read.execute(select(notes))


async def test_tables_that_are_not_bound_are_free(db: Database) -> None:
    async with db.read() as read:
        await read.execute(select(free.alias("notes_free").c.id))
        await read.execute(select(known_customers))
        await read.execute(text("select 'notes' -- notes"))


# --- the rows


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_scope_shows_exactly_the_customers_that_its_employees_own(db: Database, shape: str) -> None:
    anns, bobs, nobodys = new_id(), new_id(), new_id()
    await own(db, (anns, ann), (bobs, bob))
    await note(db, anns, bobs, nobodys, anns)
    assert await seen(db, everybody(ann), shape) == [anns, anns]
    assert await seen(db, everybody(ann, bob), shape) == [anns, bobs, anns]
    assert await seen(db, EVERYTHING, shape) == [anns, bobs, nobodys, anns]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_scope_without_employees_shows_nothing(db: Database, shape: str) -> None:
    customer = new_id()
    await own(db, (customer, ann))
    await note(db, customer)
    assert await seen(db, Scope(), shape) == []
    assert await seen(db, everybody(), shape) == []


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_owner_holds_from_his_first_to_his_last_business_date(db: Database, shape: str) -> None:
    customer = new_id()
    first, last = TODAY, TODAY + timedelta(days=2)
    await own(db, (customer, ann, "CSM", first, last))
    await note(db, customer)
    shown = {
        day: bool(await seen(db, everybody(ann, today=first + timedelta(days=day)), shape)) for day in range(-1, 4)
    }
    assert shown == {-1: False, 0: True, 1: True, 2: True, 3: False}


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_owner_in_several_roles_sees_the_customer_once_while_one_of_them_holds(
    db: Database, shape: str
) -> None:
    customer, yesterday = new_id(), TODAY - timedelta(days=1)
    await own(
        db,
        (customer, ann, "CSM", date.min, yesterday),
        (customer, ann, "SALES", TODAY, date.max),
        (customer, bob, "SERVICE", date.min, yesterday),
    )
    await note(db, customer)
    assert await seen(db, everybody(ann, bob), shape) == [customer]
    assert await seen(db, everybody(bob), shape) == []


@pytest.mark.parametrize("employees", [FEW_EMPLOYEES, FEW_EMPLOYEES + 1])
async def test_a_broad_list_shows_the_same_for_few_owners_and_for_many(db: Database, employees: int) -> None:
    people, customers = [new_id() for _ in range(employees)], [new_id() for _ in range(employees)]
    await own(db, *zip(customers, people, strict=True), (new_id(), eve))
    await note(db, *customers)
    assert await seen(db, everybody(*people), "broad") == customers


async def test_a_scope_limits_updates_and_deletes_to_its_own_rows(db: Database) -> None:
    anns, bobs = new_id(), new_id()
    await own(db, (anns, ann), (bobs, bob))
    await note(db, anns, bobs)
    scope = everybody(ann)
    async with db.transaction(actor="machine:test") as write:
        changed = scope.limit(update(notes).values(body="x").returning(notes.c.customer_id), notes.c.customer_id)
        assert (await write.execute(changed)).scalars().all() == [anns]
        removed = scope.limit(delete(notes).returning(notes.c.customer_id), notes.c.customer_id)
        assert (await write.execute(removed)).scalars().all() == [anns]
        locked = scope.limit(select(notes.c.id).with_for_update(of=notes), notes.c.customer_id)
        assert (await write.execute(locked)).all() == []
    assert await seen(db, EVERYTHING, "limit") == [bobs]


async def test_a_scope_can_be_part_of_a_condition(db: Database) -> None:
    anns, bobs = new_id(), new_id()
    await own(db, (anns, ann), (bobs, bob))
    await note(db, anns, bobs)
    which = unscoped(
        select(notes.c.customer_id, everybody(ann).holds(notes.c.customer_id).label("mine")), "both are shown"
    )
    async with db.read() as read:
        assert {(row.customer_id, bool(row.mine)) for row in await read.execute(which)} == {(anns, True), (bobs, False)}
