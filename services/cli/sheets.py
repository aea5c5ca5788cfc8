"""CSV files whose columns have the names of a contract's fields, and the rows of them that were not taken."""

import csv
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from services.cli.failure import CommandFailed

SHOWN = 5
REPORTED = 1000
"""So many rejected rows a report holds, as the services' own do."""


class Cells(NamedTuple):
    """A row: the cells by column, without space around them; "" where there is nothing."""

    line: int
    cells: dict[str, str]


class RejectedRow(NamedTuple):
    """A row that was not taken, and why."""

    line: int
    column: str
    value: str
    reason: str


class BadCell(Exception):
    """A cell holds what it must not hold."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


class Sheet:
    """A CSV file in UTF-8; a byte-order mark is understood. It is read again each time, so that its size is no matter.

    Raises CommandFailed, before anything can be sent, where the file can't be read or its heading is not as it must be.
    """

    def __init__(self, path: Path, required: Collection[str], optional: Collection[str] = ()) -> None:
        """`required` columns must be there, `optional` ones may, others are refused."""
        self._path = path
        with self._open() as file:
            heading = next(self._guarded(csv.reader(file, strict=True)), [])
        self.columns = [column.strip() for column in heading]
        known = [*required, *optional]
        if missing := [column for column in required if column not in self.columns]:
            raise CommandFailed(f"{path}: its heading lacks {', '.join(missing)}")
        if unknown := [column for column in self.columns if column not in known]:
            raise CommandFailed(f"{path}: it has columns {unknown}; there may be {', '.join(known)}")
        if twice := {column for column in self.columns if self.columns.count(column) > 1}:
            raise CommandFailed(f"{path}: it has columns {sorted(twice)} twice")
        for _ in self._rows():
            pass

    def __iter__(self) -> Iterator[Cells]:
        for line, cells in self._rows():
            filled = cells + [""] * (len(self.columns) - len(cells))
            yield Cells(line, {column: cell.strip() for column, cell in zip(self.columns, filled, strict=True)})

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        with self._open() as file:
            reader = csv.reader(file, strict=True)
            rows = self._guarded(reader)
            next(rows, None)
            for cells in rows:
                if len(cells) > len(self.columns):
                    raise CommandFailed(f"{self._path}, line {reader.line_num}: it has more cells than the heading")
                if any("\0" in cell for cell in cells):
                    raise CommandFailed(f"{self._path}, line {reader.line_num}: it holds a character that no text has")
                if any(cells):
                    yield reader.line_num, cells

    def _open(self) -> Any:
        try:
            return self._path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise CommandFailed(f"{self._path} can't be read: {error.strerror}") from error

    def _guarded(self, reader: Any) -> Iterator[list[str]]:
        try:
            yield from reader
        except UnicodeDecodeError as error:
            raise CommandFailed(f"{self._path} is not in UTF-8") from error
        except csv.Error as error:
            raise CommandFailed(f"{self._path}, line {reader.line_num}: {error}") from error


def to_day(row: Cells, column: str) -> Any:
    """The google.type.Date that a cell holds; None where it is empty. Raises BadCell for another form."""
    from google.type.date_pb2 import Date

    text = row.cells.get(column, "")
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise BadCell(column, text, "it must be a day such as 2026-11-30") from error
    return Date(year=day.year, month=day.month, day=day.day)


def write_rejected(path: Path, rows: Iterable[Any]) -> None:
    """Writes rows with line, column, value and reason as CSV, in UTF-8 with a byte-order mark, which spreadsheets look
    for.

    Raises:
        CommandFailed: the file can't be written.
    """
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["line", "column", "value", "reason"])
            writer.writerows((row.line, row.column, row.value, row.reason) for row in rows)
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from error


def show_rejected(rows: Any, path: Path | None) -> None:
    """Prints the first of the rows that were not taken.

    Args:
        rows: as write_rejected has them.
        path: where all of them were written.
    """
    from services.cli.output import console

    for row in rows[:SHOWN]:
        place = f"line {row.line}" + (f", {row.column} {row.value!r}" if row.column else "")
        console().print(f"  {place}: {row.reason}", markup=False)
    if len(rows) > SHOWN:
        console().print(f"  … and {len(rows) - SHOWN} more" + ("" if path else "; see --rejected FILE"))
