# ruff: noqa: S608 - texts of SQL are put together from names of fields in this project only; values are parameters
"""Rows of a file on their way: each import has a table of its own for them, which lives as long as it gets on.

The tables are unlogged: after a crash of Postgres they are empty, and the file is read again.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from services.customers.storage.tables import contacts, customers
from services.shared.access.tables import customer_access
from services.shared.db import Write

SCHEMA = "staging"
CHUNK_ROWS = 2_500
NULL = r"\N"
ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
TYPES = {
    "CUSTOMERS": {column.name: column.type for column in customers.c},
    "CONTACTS": {column.name: column.type for column in contacts.c},
    "OWNERS": {column.name: column.type for column in customer_access.c},
}


@dataclass(frozen=True)
class Chunk:
    """The rows of `table` with `first` <= line <= `last`, `size` of them."""

    table: Table
    first: int
    last: int
    size: int

    def holds(self) -> Any:
        return self.table.c.line.between(self.first, self.last)


def table_of(
    import_id: UUID, kind: str, fields: Iterable[str], *, attributes: bool = False, national_ids: bool = False
) -> Table:
    """The table of an import of CUSTOMERS, CONTACTS or OWNERS that brings `fields`.

    attributes: it brings custom attributes as well; national_ids: some of which are national ids.
    """
    types = TYPES[kind]
    columns = [Column(name, types.get(name, Text())) for name in fields]
    if attributes:
        columns.append(Column("attributes", JSONB))
    if national_ids:
        columns.append(Column("sealed", JSONB))
    return Table(f"import_{import_id.hex}", MetaData(schema=SCHEMA), Column("line", BigInteger), *columns)


async def make(write: Write, table: Table) -> None:
    """Makes the table anew, empty."""
    await drop(write, table)
    created = str(CreateTable(table).compile(dialect=write.connection.dialect))
    await write.execute(text(created.replace("CREATE TABLE", "CREATE UNLOGGED TABLE", 1)))


async def drop(write: Write, table: Table) -> None:
    await write.execute(text(f"drop table if exists {table.fullname}"))


async def is_there(connection: AsyncConnection, table: Table) -> bool:
    """Whether the table has rows: a crash of Postgres empties it."""
    return (await connection.execute(select(table.c.line).limit(1))).first() is not None


def lines_of(columns: Sequence[Sequence[Any]]) -> str:
    """Columns of equal length, as COPY's text format has them; None is null."""
    return "".join(["\n".join(map("\t".join, zip(*map(_escaped, columns), strict=True))), "\n"])


def _escaped(column: Sequence[Any]) -> Sequence[str]:
    if column and isinstance(column[0], int):
        return list(map(str, column))
    if None in column:
        return [NULL if cell is None else _escape(cell) for cell in column]
    joined = "".join(column)
    if joined.isprintable() and "\\" not in joined:
        return column
    return list(map(_escape, column))


def _escape(cell: str) -> str:
    return cell.translate(ESCAPED) if "\\" in cell or not cell.isprintable() else cell


def documents(columns: Mapping[str, Sequence[str | None]]) -> list[str]:
    """Columns of equal length as documents, a row each, for lines_of."""
    keys = ", ".join(f"{encode_basestring(key)}: %s" for key in columns).join("{}")
    cells = [["null" if cell is None else encode_basestring(cell) for cell in column] for column in columns.values()]
    return list(map(keys.__mod__, zip(*cells, strict=True)))


@asynccontextmanager
async def copying(write: Write, table: Table) -> AsyncIterator[Any]:
    """A COPY into the table, whose `write` takes what lines_of made."""
    raw: Any = await write.connection.get_raw_connection()
    names = ", ".join(f'"{column.name}"' for column in table.c)
    statement = f"copy {table.fullname} ({names}) from stdin"
    async with raw.driver_connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy


async def settle(write: Write, table: Table) -> None:
    """All rows are there: makes them quick to find by their lines, and known to the planner as far as it asks."""
    await write.execute(text(f"create index on {table.fullname} (line)"))
    names = ", ".join(column.name for column in table.c if column.name == "line" or "external_id" in column.name)
    await write.execute(text(f"analyze {table.fullname} ({names})"))


async def supersede(write: Write, table: Table, key: Sequence[str]) -> list[tuple[int, int]]:
    """Removes rows that a later one of the same key replaces; answers (line, later line), in order."""
    names = ", ".join(f'"{name}"' for name in key)
    same = " and ".join(f'r."{name}" = last."{name}"' for name in key)
    await write.execute(text("set local work_mem = '64MB'"))
    gone = await write.execute(
        text(f"""
            with last as (
                select {names}, max(line) as line from {table.fullname} group by {names} having count(*) > 1
            ), gone as (
                delete from {table.fullname} r using last where {same} and r.line < last.line
                returning r.line, last.line as later
            )
            select line, later from gone order by line
        """)
    )
    return [(row.line, row.later) for row in gone]


async def next_chunk(connection: AsyncConnection, table: Table, after: int) -> Chunk | None:
    """The next rows after the line `after`, CHUNK_ROWS at most; None at the end."""
    part = select(table.c.line).where(table.c.line > after).order_by(table.c.line).limit(CHUNK_ROWS).subquery()
    row = (await connection.execute(select(func.min(part.c.line), func.max(part.c.line), func.count()))).one()
    return Chunk(table, *row) if row[2] else None
