"""The hash chain over the audit. Records are sealed in blocks, once a second, so that it holds up no writer.

hash of a block = SHA-256(hash of the block before | its number | the digests of its records in their order).
Whoever changes, removes or adds a sealed record breaks its block; whoever cuts blocks off at the end loses the head,
which the log has.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Row, Table, any_, bindparam, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.audit.tables import audit, audit_blocks
from services.shared.db.engine import Database
from services.shared.logging import get_logger

SEAL_SECONDS = 1.0
BLOCK_RECORDS = 1000
PAGE = 500
FIRST = bytes(32)
"""What stands before the first block."""


@dataclass(frozen=True)
class Chain:
    """`broken_block`: the first that doesn't hold, 0 where all do; `head`: the hash of the last block."""

    blocks: int
    records: int
    broken_block: int
    head: bytes


async def run_sealing(db: Database) -> None:
    """Seals until cancelled; an outage of Postgres is waited out."""
    while True:
        try:
            while await seal(db) == BLOCK_RECORDS:
                pass
        except (SQLAlchemyError, OSError) as error:
            get_logger().warning("audit waits", error=type(error).__name__)
        await asyncio.sleep(SEAL_SECONDS)


async def seal(db: Database) -> int:
    """Seals up to 1,000 waiting records as one block; answers how many."""
    waiting = select(audit).where(audit.c.block.is_(None)).order_by(audit.c.position).limit(BLOCK_RECORDS)
    async with db.read() as read:
        if (await read.execute(waiting.limit(1))).first() is None:
            return 0
    async with db.transaction(actor="machine:audit") as write:
        await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing audit'))"))
        rows = (await write.execute(waiting)).all()
        if not rows:
            return 0
        last = (await write.execute(select(audit_blocks).order_by(audit_blocks.c.number.desc()).limit(1))).first()
        number, before = (last.number + 1, bytes(last.hash)) if last else (1, FIRST)
        head = block_hash(before, number, rows)
        positions = bindparam(None, [row.position for row in rows], ARRAY(BigInteger))
        await write.execute(update(audit).where(audit.c.position == any_(positions)).values(block=number))
        await write.execute(
            insert(audit_blocks).values(number=number, records=len(rows), hash=head, sealed_at=write.now)
        )
    get_logger().info("audit sealed", block=number, records=len(rows), head=head.hex())
    return len(rows)


async def verify(db: Database) -> Chain:
    """Computes every block anew."""
    before, blocks, records, broken = FIRST, 0, 0, 0
    async with db.snapshot() as read:
        sealed = _Ahead(_in_order(read, audit, audit.c.block, audit.c.position))
        async for block in _in_order(read, audit_blocks, audit_blocks.c.number):
            blocks += 1
            stray = await sealed.up_to(block.number - 1)  # they say that they are of a block that isn't there
            rows = await sealed.up_to(block.number)
            records += len(rows)
            holds = not stray and block.number == blocks and len(rows) == block.records
            if not broken and not (holds and block_hash(before, block.number, rows) == bytes(block.hash)):
                broken = blocks
            before = bytes(block.hash)
        if not broken and await sealed.next() is not None:  # records of a block that is gone
            broken = blocks + 1
    return Chain(blocks, records, broken, before if blocks else b"")


async def _in_order(read: AsyncConnection, table: Table, *order: Column[int]) -> AsyncIterator[Row[Any]]:
    """All rows in this order, apart from those without a value; never many at once, so that others get their turn."""
    page = select(table).where(order[0].is_not(None)).order_by(*order).limit(PAGE)
    rows = (await read.execute(page)).all()
    while rows:
        for row in rows:
            yield row
        last = tuple_(*(getattr(rows[-1], column.name) for column in order))
        rows = (await read.execute(page.where(tuple_(*order) > last))).all()


class _Ahead:
    """Rows, of which the next one can be looked at."""

    def __init__(self, rows: AsyncIterator[Row[Any]]) -> None:
        self._rows = rows
        self._next: Row[Any] | None = None

    async def next(self) -> Row[Any] | None:
        self._next = self._next or await anext(self._rows, None)
        return self._next

    async def up_to(self, block: int) -> list[Row[Any]]:
        """Takes the rows of this block and of those before it."""
        taken = []
        while (row := await self.next()) is not None and row.block <= block:
            taken.append(row)
            self._next = None
        return taken


def block_hash(before: bytes, number: int, rows: Sequence[Row[Any]]) -> bytes:
    chain = hashlib.sha256(before + number.to_bytes(8, "big", signed=True))
    for row in rows:
        chain.update(digest(row))
    return chain.digest()


def digest(row: Row[Any]) -> bytes:
    """SHA-256 of everything that a record says, the encrypted part as it is stored."""
    said = [row.position, str(row.id), row.occurred_at.timestamp(), row.actor, row.acting_for, row.means, row.peer,
            row.method, row.object_id, row.customer_id, row.change, row.person,
            bytes(row.personal).hex() if row.personal is not None else None, row.request_id]  # fmt: skip
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).digest()
