"""The hash chain over the audit: whoever touches a sealed record breaks it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from services.shared.audit.chain import seal, verify
from services.shared.audit.tables import audit_blocks
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.rpc.caller import NOBODY, current_call, current_caller
from tests.support.audit import a_request, done, records, under_way
from tests.support.infrastructure import TestInfrastructure


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


@pytest.fixture(autouse=True)
def nobody_calls() -> None:
    current_call.set(None)
    current_caller.set(NOBODY)


async def as_intruder(db: Database, *statements: str) -> None:
    """As whoever owns the database and stops at nothing."""
    async with db.transaction(actor="machine:test") as write:
        await write.execute(text("alter table kit.audit disable trigger user"))
        await write.execute(text("alter table kit.audit_blocks disable trigger user"))
        for statement in statements:
            await write.execute(text(statement))


async def sealed(db: Database, blocks: int = 3, size: int = 2) -> None:
    for _ in range(blocks):
        for _ in range(size):
            await done(db, a_request())
        assert await seal(db) == size


@pytest.mark.parametrize(
    "statement",
    [
        "update kit.audit set actor = 'somebody else'",
        "delete from kit.audit",
        "truncate kit.audit",
        "update kit.audit set block = null",
        "update kit.audit set block = block + 1",
        "update kit.audit_blocks set records = 1",
        "delete from kit.audit_blocks",
        "truncate kit.audit_blocks",
    ],
)
async def test_the_audit_is_only_ever_added_to(db: Database, statement: str) -> None:
    await sealed(db, blocks=1)
    with pytest.raises(DBAPIError, match="only ever added to"):
        async with db.transaction(actor="machine:test") as write:
            await write.execute(text(statement))


async def test_not_even_what_waits_to_be_sealed_can_be_changed(db: Database) -> None:
    await done(db, a_request())
    with pytest.raises(DBAPIError, match="only ever added to"):
        async with db.transaction(actor="machine:test") as write:
            await write.execute(text("update kit.audit set actor = 'somebody else'"))


async def test_sealed_records_hold(db: Database) -> None:
    assert await seal(db) == 0
    assert (await verify(db)).broken_block == 0
    await sealed(db)
    await done(db, a_request())  # waits for the next block
    chain = await verify(db)
    assert (chain.blocks, chain.records, chain.broken_block) == (3, 6, 0)
    async with db.read() as read:
        last = (await read.execute(select(audit_blocks.c.hash).where(audit_blocks.c.number == 3))).scalar_one()
    assert chain.head == bytes(last)


COPIED = "id, occurred_at, actor, acting_for, means, peer, method, object_id, customer_id, change, person, request_id"


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["update kit.audit set actor = 'x' where position = 3"], 2),
        (["update kit.audit set change = '{}' where position = 5"], 3),
        (["update kit.audit set occurred_at = occurred_at + interval '1 microsecond' where position = 3"], 2),
        (["update kit.audit set personal = 'x' where position = 1"], 1),
        (["delete from kit.audit where position = 4"], 2),
        (["update kit.audit set block = null where position = 4"], 2),
        ([f"insert into kit.audit ({COPIED}, block) select {COPIED}, block from kit.audit where position = 3"], 2),
        ([f"insert into kit.audit ({COPIED}, block) select {COPIED}, -1 from kit.audit where position = 3"], 1),
        ([f"insert into kit.audit ({COPIED}, block) select {COPIED}, 9 from kit.audit where position = 3"], 4),
        (["update kit.audit a set id = b.id, object_id = b.object_id, request_id = b.request_id, "
          "occurred_at = b.occurred_at from kit.audit b where (a.position, b.position) in ((3, 4), (4, 3))"], 2),
        (["update kit.audit set block = 5 - block where position in (3, 5)"], 2),
        (["delete from kit.audit where block = 2", "delete from kit.audit_blocks where number = 2"], 2),
        (["delete from kit.audit_blocks where number = 3"], 3),
        (["update kit.audit_blocks set hash = sha256('x') where number = 1"], 1),
        (["delete from kit.audit where block = 1", "delete from kit.audit_blocks where number = 1",
          "update kit.audit set block = block - 1", "update kit.audit_blocks set number = number - 1"], 1),
    ],
)  # fmt: skip
async def test_whoever_changes_removes_adds_or_moves_a_sealed_record_breaks_its_block(
    db: Database, statements: list[str], broken: int
) -> None:
    await sealed(db)
    await as_intruder(db, *statements)
    assert (await verify(db)).broken_block == broken


async def test_two_sealers_at_once_seal_every_record_once(db: Database) -> None:
    for _ in range(20):
        await done(db, a_request())
        await asyncio.gather(seal(db), seal(db), seal(db))
    chain = await verify(db)
    assert (chain.records, chain.broken_block) == (20, 0)


async def test_a_record_that_is_committed_after_later_ones_were_sealed_comes_into_the_next_block(db: Database) -> None:
    request = a_request()
    under_way(request)
    async with db.write(request) as slow:
        await slow.flush()
        slow.doing = None  # it has its place already
        await asyncio.create_task(_another(db))
        assert await seal(db) == 1
    assert await seal(db) == 1
    first, second = await records(db)
    assert (first.block, second.block) == (2, 1)
    assert (await verify(db)).broken_block == 0


async def _another(db: Database) -> None:
    await done(db, a_request())


async def test_a_chain_longer_than_a_page_holds(db: Database) -> None:
    await done(db, a_request())
    async with db.transaction(actor="machine:test") as write:
        many = f"insert into kit.audit ({COPIED}) select {COPIED} from kit.audit, generate_series(1, 2500)"
        await write.execute(text(many))
    assert [await seal(db) for _ in range(4)] == [1000, 1000, 501, 0]
    chain = await verify(db)
    assert (chain.blocks, chain.records, chain.broken_block) == (3, 2501, 0)
