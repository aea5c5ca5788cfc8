"""Reads: pools of connections that follow Postgres down and up again."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import bindparam, select
from sqlalchemy.exc import OperationalError

from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.hot import MOST_CONNECTIONS, HotQuery
from services.shared.db.tables import stream
from tests.support.infrastructure import TestInfrastructure

BY_NAME = HotQuery(select(stream).where(stream.c.name == bindparam("name")))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[TestInfrastructure]:
    """Servers of this module's own, because Postgres is killed here."""
    running = TestInfrastructure()
    yield running
    await running.close()


@pytest_asyncio.fixture
async def db(servers: TestInfrastructure) -> AsyncIterator[Database]:
    async with servers.new_database("identity") as url:
        database = Database(url, utc_now)
        await asyncio.gather(*(database.one(BY_NAME, name="none") for _ in range(10 * MOST_CONNECTIONS)))
        yield database
        await database.close()


async def test_a_restart_of_postgres_costs_no_hot_read(servers: TestInfrastructure, db: Database) -> None:
    await servers.kill("postgres")
    await servers.restart("postgres")
    for _ in range(2 * MOST_CONNECTIONS):
        assert await db.one(BY_NAME, name="none") is None


async def test_after_a_restart_of_postgres_reads_are_answered_once_a_write_has_found_out(
    servers: TestInfrastructure, db: Database
) -> None:
    async with db.read() as read, db.transaction(actor="machine:test") as write:
        await read.execute(select(stream))
        await write.execute(select(stream))
    await servers.kill("postgres")
    await servers.restart("postgres")
    with pytest.raises(OperationalError):
        async with db.transaction(actor="machine:test") as write:
            await write.execute(select(stream))
    async with db.read() as read:
        assert (await read.execute(select(stream))).all() == []


async def test_hot_reads_are_answered_as_soon_as_postgres_is_back_from_a_longer_outage(
    servers: TestInfrastructure, db: Database
) -> None:
    await servers.kill("postgres")
    refused = 0
    while refused < 3:  # the first reads may still be answered by what the dead server left running
        try:
            await db.one(BY_NAME, name="none")
        except psycopg.OperationalError:
            refused += 1
    await servers.restart("postgres")
    assert await db.one(BY_NAME, name="none") is None
