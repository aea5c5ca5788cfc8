"""A table that is bound to a customer, and one that isn't."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    insert,
    select,
    text,
)

from services.shared.access import Scope, unscoped
from services.shared.access.tables import customer_access
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

TODAY = date(2026, 3, 1)
metadata = MetaData()
notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("body", Text, nullable=False),
    info={"customer": "customer_id"},
)
free = Table("free", metadata, Column("id", Integer, primary_key=True))
ann, bob, eve = new_id(), new_id(), new_id()


@asynccontextmanager
async def notes_database(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    """A database of its own, with both tables."""
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now, metadata)
        async with database.transaction(actor="machine:test", unscoped="the test's tables") as write:
            await write.execute(text("create table notes (id serial primary key, customer_id uuid, body text)"))
            await write.execute(text("create index on notes (customer_id)"))
            await write.execute(text("create table free (id integer)"))
        yield database
        await database.close()


async def own(db: Database, *owners: tuple[UUID, UUID] | tuple[UUID, UUID, str, date, date]) -> None:
    """(customer, employee[, role, from, to]): he owns it."""
    rows = [
        dict(zip(("customer_id", "employee_id", "role", "valid_from", "valid_to"),
                 owner if len(owner) == 5 else (*owner, "CSM", date.min, date.max), strict=True))
        for owner in owners
    ]  # fmt: skip
    async with db.transaction(actor="machine:test") as write:
        await write.execute(unscoped(insert(customer_access), "the test's owners"), rows)


async def note(db: Database, *customers: UUID) -> None:
    async with db.transaction(actor="machine:test") as write:
        rows = [{"customer_id": customer, "body": ""} for customer in customers]
        await write.execute(unscoped(insert(notes), "the test's notes"), rows)


def everybody(*employees: UUID, today: date = TODAY) -> Scope:
    return Scope(False, employees, today)


Shape = Callable[[Scope], Any]
SHAPES: dict[str, Shape] = {
    "limit": lambda scope: scope.limit(select(notes.c.customer_id), notes.c.customer_id),
    "broad": lambda scope: scope.limit(select(notes.c.customer_id), notes.c.customer_id, broad=True),
    "whole": lambda scope: scope.whole(select(notes.c.customer_id), notes.c.customer_id),
}


async def seen(db: Database, scope: Scope, shape: str) -> list[UUID]:
    async with db.read() as read:
        return list((await read.execute(SHAPES[shape](scope).order_by(notes.c.id))).scalars())
