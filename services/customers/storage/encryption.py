"""What lies in the database encrypted, and how it comes under the newest key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, LargeBinary, Row, Table, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage import import_files, import_runs, national_ids
from services.customers.storage.import_tables import import_chunks, rejected_rows
from services.customers.storage.tables import national_ids as held
from services.shared.access import unscoped
from services.shared.db import Write
from services.shared.keyring import ID_BYTES, Keyring

WHY = "keys change for every customer alike"
AT_ONCE = 1000


@dataclass(frozen=True)
class Encrypted:
    """A column of encrypted bytes. `place` answers from a row what its bytes are bound to; `digest` is the column that
    holds the digest of what is encrypted, where there is one.
    """

    table: Table
    token: Column[bytes]
    place: Callable[[Row[Any]], str]
    digest: Column[bytes] | None = None
    at_once: int = AT_ONCE
    """How many are encrypted anew in one transaction."""


ENCRYPTED = [
    Encrypted(
        held,
        held.c.token,
        lambda row: national_ids.place(row.key),
        held.c.digest,
    ),
    Encrypted(
        import_chunks, import_chunks.c.content, lambda row: import_files.place(row.import_id, row.position), at_once=8
    ),
    Encrypted(rejected_rows, rejected_rows.c.cells, lambda row: import_runs.place(row.import_id, row.line)),
]
"""Everything that is encrypted."""


async def rotate(write: Write, keyring: Keyring) -> int:
    """Encrypts up to 1,000 values of one column anew that are under an older key; answers how many."""
    for column in ENCRYPTED:
        if changed := await _rotate(write, keyring, column):
            return changed
    return 0


async def left(connection: AsyncConnection, keyring: Keyring) -> int:
    """How many values are under an older key."""
    counts = [
        await connection.execute(unscoped(select(func.count()).where(_older(column, keyring)), WHY))
        for column in ENCRYPTED
    ]
    return sum(count.scalar_one() for count in counts)


def _older(column: Encrypted, keyring: Keyring) -> Any:
    return func.substring(column.token, 1, ID_BYTES) != bindparam(None, keyring.newest_id, LargeBinary)


async def _rotate(write: Write, keyring: Keyring, column: Encrypted) -> int:
    table, keys = column.table, list(column.table.primary_key)
    older = select(table).where(_older(column, keyring)).order_by(*keys).limit(column.at_once)
    rows = (await write.execute(unscoped(older.with_for_update(), WHY))).all()
    new = []
    for row in rows:
        clear = keyring.decrypt(bytes(getattr(row, column.token.name)), column.place(row))
        values = {f"at_{key.name}": getattr(row, key.name) for key in keys}
        values["token_"] = keyring.encrypt(clear, column.place(row))
        if column.digest is not None:
            values["digest_"] = keyring.digest(clear)
        new.append(values)
    if new:
        changed: dict[str, Any] = {column.token.name: bindparam("token_")}
        if column.digest is not None:
            changed[column.digest.name] = bindparam("digest_")
        same = and_(*(key == bindparam(f"at_{key.name}") for key in keys))
        await write.execute(unscoped(update(table).where(same).values(changed), WHY), new)
    return len(new)
