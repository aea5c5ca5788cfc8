"""Lists of customers as files, written page by page, so that their length is no matter."""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import xlsxwriter
from sqlalchemy import select

from kejing.customers.v1 import customers_service_pb2 as pb
from services.customers.api.filters import wanted
from services.customers.domain.collection import CUSTOMER
from services.customers.domain.spreadsheets import guarded
from services.customers.storage import attributes, lists
from services.customers.storage.lists import Order
from services.shared.access.tables import employees
from services.shared.db import Database
from services.shared.errors import InvalidArgument
from services.shared.logging import get_logger

PAGE_ROWS = 500
PIECE_BYTES = 256 * 1024
SHEET_ROWS = 1_048_575
"""What an XLSX sheet holds below its heading."""

Cell = str | int | Decimal | date | None
Names = Mapping[str, str]
"""Employees' names by their ids."""
Column = Callable[[Any, Names], Cell]
"""The cell of a customer's row."""


class Sheet(Protocol):
    """A file that grows by rows."""

    def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Writes rows; answers what can be sent already."""

    def pieces(self) -> Iterator[bytes]:
        """Ends the file; answers what is left of it."""


async def export(db: Database, request: pb.ExportCustomersRequest, today: date) -> AsyncIterator[bytes]:
    """The file in pieces. `today`: the business date. Raises InvalidArgument: FIELD_UNKNOWN."""
    columns = await _columns(db, request.fields)
    async with db.transaction(request_id=request.request_id):
        pass  # the audit knows of it before the first byte leaves
    sort = pb.CustomerSort.Name(request.sort or pb.CUSTOMER_SORT_NAME).removeprefix("CUSTOMER_SORT_")
    asked, order, written = wanted(request.filter, today), Order(sort, request.descending), 0
    with tempfile.TemporaryDirectory() as folder:
        heading = list(columns)
        sheet: Sheet = XlsxSheet(heading, Path(folder)) if request.format == pb.FILE_FORMAT_XLSX else CsvSheet(heading)
        while rows := await lists.page(db, asked, order, PAGE_ROWS):
            names = await _names(db, rows) if "owners" in columns else {}
            cells = [[read(row, names) for read in columns.values()] for row in rows]
            if piece := await asyncio.to_thread(sheet.add, cells):
                yield piece
            written += len(rows)
            order = Order(sort, request.descending, lists.position(rows[-1], sort))
        rest = await asyncio.to_thread(sheet.pieces)
        while piece := await asyncio.to_thread(next, rest, b""):
            yield piece
    get_logger().info("exported", customers=written)


class CsvSheet:
    """CSV in UTF-8 with a byte-order mark, which spreadsheets look for."""

    def __init__(self, heading: Sequence[str]) -> None:
        self._text = io.StringIO(newline="")
        self._text.write("\ufeff")
        self._writer = csv.writer(self._text)
        self._writer.writerow(heading)

    def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        self._writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
        return self._taken()

    def pieces(self) -> Iterator[bytes]:
        yield self._taken()

    def _taken(self) -> bytes:
        taken = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return taken


class XlsxSheet:
    """XLSX; its rows wait in files of `folder`."""

    def __init__(self, heading: Sequence[str], folder: Path) -> None:
        self._heading = heading
        self._path = folder / "customers.xlsx"
        self._book = xlsxwriter.Workbook(
            str(self._path),
            {"constant_memory": True, "tmpdir": str(folder), "default_date_format": "yyyy-mm-dd", "use_zip64": True},
        )
        self._begin()

    def _begin(self) -> None:
        self._sheet = self._book.add_worksheet()
        self._filled = 0
        for place, name in enumerate(self._heading):
            self._sheet.write_string(0, place, name)

    def add(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        for row in rows:
            if self._filled == SHEET_ROWS:
                self._begin()
            self._filled += 1
            for place, cell in enumerate(row):
                match cell:
                    case str():
                        self._sheet.write_string(self._filled, place, guarded(cell))
                    case date():
                        self._sheet.write_datetime(self._filled, place, cell)
                    case int() | Decimal():
                        self._sheet.write_number(self._filled, place, cell)
        return b""

    def pieces(self) -> Iterator[bytes]:
        self._book.close()
        with self._path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


async def _columns(db: Database, fields: Sequence[str]) -> dict[str, Column]:
    """The columns that were asked for, in that order; all where none was. Raises InvalidArgument: FIELD_UNKNOWN."""
    async with db.read() as read:
        custom = {each.key: each.type for each in await attributes.definitions(read)}
    known: dict[str, Column] = {
        "number": _field("number"),
        **{key: _field(key) for key in CUSTOMER},
        "owners": _owners,
        "tags": lambda row, _: "; ".join(row.tags),
        "health_status": lambda row, _: row.health_status or "NOT_COMPUTED",
        **{key: _attribute(key, is_number=type_ == "NUMBER") for key, type_ in custom.items()},
    }
    if unknown := [key for key in fields if key not in known]:
        raise InvalidArgument("fields", unknown[0], f"the fields are {', '.join(known)}"[:1000], "FIELD_UNKNOWN")
    return {key: known[key] for key in fields or known}


def _field(name: str) -> Column:
    return lambda row, _: getattr(row, name)


def _attribute(key: str, *, is_number: bool) -> Column:
    def read(row: Any, _: Names) -> Cell:
        value = row.attributes.get(key)
        return Decimal(value) if is_number and value else value

    return read


def _owners(row: Any, names: Names) -> Cell:
    """ "CSM 张三; SALES_MANAGER 李四" """
    owners = (stored.split(" ")[:2] for stored in sorted(row.owners))
    return "; ".join(f"{role} {names.get(employee_id, employee_id)}" for role, employee_id in owners)


async def _names(db: Database, rows: Sequence[Any]) -> Names:
    ids = {UUID(stored.split(" ")[1]) for row in rows for stored in row.owners}
    async with db.read() as read:
        found = await read.execute(select(employees.c.id, employees.c.display_name).where(employees.c.id.in_(ids)))
    return {str(id_): name for id_, name in found}
