"""Rows of a file that is being imported, kept here until all of it has arrived, so that nothing is half written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Column, ColumnElement, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.csv_file import Row
from services.customers.storage.tables import customers, import_rows
from services.shared.access.tables import employees
from services.shared.db import Write

CHUNK_ROWS = 1000
REPORTED = 1000
KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Chunk:
    """The `size` staged rows of one import with `first` <= line <= `last`."""

    import_id: UUID
    first: int
    last: int
    size: int

    def holds(self) -> ColumnElement[bool]:
        """The condition on import_rows."""
        return (import_rows.c.import_id == self.import_id) & import_rows.c.line.between(self.first, self.last)


async def add(write: Write, import_id: UUID, rows: Sequence[tuple[str, Row]]) -> None:
    """Stages rows with their keys."""
    # One document instead of arrays: an array of documents costs as much again to quote as all the rest of the import.
    document = [{"line": row.line, "key": key, "row": row.values} for key, row in rows]
    statement = text("""
        insert into import_rows (import_id, line, key, row)
        select :import_id, line, key, row from jsonb_to_recordset(:rows) as staged (line bigint, key text, row jsonb)
    """).bindparams(bindparam("rows", type_=JSONB))
    await write.execute(statement, {"import_id": import_id, "rows": document})


async def supersede(write: Write, import_id: UUID) -> tuple[int, list[tuple[int, int]]]:
    """Removes rows that a later one of the same key replaces; answers how many, and the first (line, later line)."""
    statement = text("""
        with last as (
            select key, max(line) as line from import_rows where import_id = :import_id group by key having count(*) > 1
        ), gone as (
            delete from import_rows r using last
            where r.import_id = :import_id and r.key = last.key and r.line < last.line
            returning r.line, last.line as later
        )
        select line, later, count(*) over () as total from gone order by line limit :reported
    """)
    gone = (await write.execute(statement, {"import_id": import_id, "reported": REPORTED})).all()
    return (gone[0].total if gone else 0), [(row.line, row.later) for row in gone]


async def remove_unknown_customers(write: Write, import_id: UUID) -> tuple[int, list[tuple[int, str]]]:
    """Removes rows whose customer isn't known; answers how many, and the first (line, external id)."""
    return await _remove_unless_found(write, import_id, "customer_external_id", customers.c.external_id)


async def remove_unknown_logins(write: Write, import_id: UUID) -> tuple[int, list[tuple[int, str]]]:
    """Removes rows whose login is of no active employee; answers how many, and the first (line, login)."""
    return await _remove_unless_found(write, import_id, "login", employees.c.login, employees.c.active)


async def remove_backward_periods(write: Write, import_id: UUID) -> tuple[int, list[tuple[int, str]]]:
    """Removes rows whose period ends before it begins; answers how many, and the first (line, end)."""
    first, last = (import_rows.c.row[name].astext for name in ("valid_from", "valid_to"))
    return await _remove(write, import_id, last, last < first)  # both as YYYY-MM-DD


async def _remove_unless_found(
    write: Write, import_id: UUID, field: str, known: Column[str], *more: Column[bool]
) -> tuple[int, list[tuple[int, str]]]:
    value = import_rows.c.row[field].astext
    return await _remove(write, import_id, value, ~select(known).where(known == value, *more).exists())


async def _remove(
    write: Write, import_id: UUID, value: ColumnElement[str], unfit: ColumnElement[bool]
) -> tuple[int, list[tuple[int, str]]]:
    mine = delete(import_rows).where(import_rows.c.import_id == import_id, unfit)
    gone = mine.returning(import_rows.c.line, value.label("value")).cte("gone")
    query = select(gone.c.line, gone.c.value, func.count().over().label("total")).order_by(gone.c.line).limit(REPORTED)
    rows = (await write.execute(query)).all()
    return (rows[0].total if rows else 0), [(row.line, row.value) for row in rows]


async def next_chunk(connection: AsyncConnection, import_id: UUID, after: int) -> Chunk | None:
    """The next 1,000 rows after the line `after`; None at the end."""
    lines = select(import_rows.c.line).where(import_rows.c.import_id == import_id, import_rows.c.line > after)
    part = lines.order_by(import_rows.c.line).limit(CHUNK_ROWS).subquery()
    row = (await connection.execute(select(func.min(part.c.line), func.max(part.c.line), func.count()))).one()
    return Chunk(import_id, *row) if row[2] else None


async def forget(write: Write, import_id: UUID) -> None:
    """Removes the import's rows, and those that imports of a day ago left behind because a crash ended them."""
    milliseconds = int((write.now - KEPT).timestamp() * 1000)
    abandoned = UUID(int=milliseconds << 80)  # ids of imports are UUIDv7: they begin with their time
    mine = import_rows.c.import_id == import_id
    await write.execute(delete(import_rows).where(mine | (import_rows.c.import_id < abandoned)))
