"""XLSX files: written anew as CSV when they come in, so that from then on there is one kind of file."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from services.customers.domain.fields import FORMULA, TYPED
from services.shared.errors import InvalidArgument

MAGIC = b"PK\x03\x04"
OLD_MAGIC = b"\xd0\xcf\x11\xe0"
LARGEST_TEXTS = 64 * 1024 * 1024
"""Bytes of the table of texts that all cells share, which has to be held in memory."""
LARGEST_SHEETS = 8 * 1024**3
BROKEN = (zipfile.BadZipFile, InvalidFileException, ParseError, zlib.error, KeyError, ValueError, OSError, EOFError)


def rows(file: IO[bytes], sheet: str) -> Iterator[list[str]]:
    """The rows of a sheet ("": the first) that aren't blank, each behind the number that it has there.

    A formula begins with FORMULA, a number or a date with TYPED. Raises InvalidArgument: FILE_BROKEN, FILE_TOO_LARGE,
    SHEET_MISSING.
    """
    try:
        _check_size(file)
        book = openpyxl.load_workbook(file, read_only=True, keep_links=False)
        if sheet and sheet not in book.sheetnames:
            known = ", ".join(book.sheetnames)
            raise InvalidArgument(
                "start.mapping.sheet", sheet, f"the file has the sheets {known}"[:500], "SHEET_MISSING"
            )
        page = book[sheet] if sheet else book.worksheets[0]
        width = 0
        for number, row in enumerate(page.iter_rows(), start=1):
            cells = [_text(cell) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                width = width or len(cells)
                yield [str(number), *cells, *[""] * (width - len(cells))]
    except BROKEN as error:
        raise InvalidArgument("data", "", "it must be a whole XLSX file; save it again", "FILE_BROKEN") from error


def as_csv(found: Iterator[list[str]], piece_bytes: int) -> Iterator[bytes]:
    """The rows as CSV, in pieces of about so many bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in found:
        writer.writerow(row)
        if text.tell() >= piece_bytes:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    if text.tell():
        yield text.getvalue().encode()


def _check_size(file: IO[bytes]) -> None:
    with zipfile.ZipFile(file) as packed:
        for entry in packed.infolist():
            most = LARGEST_TEXTS if "sharedStrings" in entry.filename else LARGEST_SHEETS
            if entry.file_size > most:
                raise InvalidArgument(
                    "data", f"{entry.file_size} bytes in {entry.filename}",
                    f"at most {most} are taken; save the sheet as CSV", "FILE_TOO_LARGE",
                )  # fmt: skip


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        return FORMULA + str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime) and value.time() == time.min:
        value = value.date()
    if isinstance(value, datetime):
        return TYPED + value.isoformat(" ")
    return TYPED + str(value) if isinstance(value, int | float | date) else str(value)
