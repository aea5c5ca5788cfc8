"""The files of imports: kept whole, in encrypted pieces, until their import ends."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.import_tables import import_chunks, import_places, imports
from services.shared.db import Write
from services.shared.keyring import Keyring

PIECE_BYTES = 1024 * 1024


async def keep(write: Write, keyring: Keyring, import_id: UUID, position: int, piece: bytes) -> None:
    """Keeps the piece at `position` (from 0) of a file; all but the last one have PIECE_BYTES."""
    sealed = await asyncio.to_thread(keyring.encrypt, piece, place(import_id, position))
    await write.execute(insert(import_chunks).values(import_id=import_id, position=position, content=sealed))


async def read(connection: AsyncConnection, keyring: Keyring, import_id: UUID, start: int) -> AsyncIterator[bytes]:
    """The file from byte `start` on, a piece at a time."""
    position, skipped = divmod(start, PIECE_BYTES)
    while True:
        query = select(import_chunks.c.content).where(
            import_chunks.c.import_id == import_id, import_chunks.c.position == position
        )
        sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            return
        clear = await asyncio.to_thread(keyring.decrypt, sealed, place(import_id, position))
        yield clear[skipped:]
        position, skipped = position + 1, 0


async def note_place(write: Write, import_id: UUID, line: int, start: int) -> None:
    place = upsert(import_places).values(import_id=import_id, line=line, start=start)
    await write.execute(place.on_conflict_do_nothing())  # it is noted where the file is read again


async def place_before(connection: AsyncConnection, import_id: UUID, line: int) -> tuple[int, int]:
    """The last noted place before `line`: (the line after which it is, its byte)."""
    query = select(import_places.c.line, import_places.c.start).where(
        import_places.c.import_id == import_id, import_places.c.line < line
    )
    row = (await connection.execute(query.order_by(import_places.c.line.desc()).limit(1))).one()
    return row.line, row.start


async def forget(write: Write, import_id: UUID) -> None:
    """Removes a file and its noted places."""
    for table in (import_chunks, import_places):
        await write.execute(delete(table).where(table.c.import_id == import_id))


async def forget_abandoned(write: Write, before: UUID) -> None:
    """Removes files whose upload began before the id `before` was made and never ended."""
    query = select(import_chunks.c.import_id).where(import_chunks.c.import_id < before).distinct()
    lost = query.where(~select(imports.c.id).where(imports.c.id == import_chunks.c.import_id).exists())
    for import_id in (await write.execute(lost)).scalars().all():
        await forget(write, import_id)


def place(import_id: UUID, position: int) -> str:
    return f"import_chunks/{import_id}/{position}"
