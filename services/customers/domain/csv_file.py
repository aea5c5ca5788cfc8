"""Reads a CSV file row by row: mapped values, or why a row can't be taken."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from services.customers.domain.fields import Value
from services.customers.domain.mapping import FieldMapping
from services.shared.errors import InvalidArgument


@dataclass(frozen=True)
class Rejection:
    """A row that was not taken. `column` is empty where it is the row as a whole."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A row's values by field; `line` is where it begins in the file, the heading being line 1."""

    line: int
    values: dict[str, Value]


def read_rows(file: TextIO, mapping: FieldMapping) -> Iterator[Row | list[Rejection]]:
    """The rows under the heading, without blank lines; a list says what is wrong with one row.

    `file` is opened with newline="". Raises InvalidArgument for a file without heading (FILE_EMPTY), with a wrong one
    (see FieldMapping.places), and where it is no CSV (FILE_BROKEN) or not of its encoding (ENCODING_WRONG).
    """
    reader = csv.reader(file, strict=True)
    header, line = _next_filled(reader)
    if header is None:
        raise InvalidArgument("data", "", "the file must begin with a line of column names", "FILE_EMPTY")
    places = mapping.places(header)
    while True:
        row, line = _next_filled(reader)
        if row is None:
            return
        if len(row) != len(header):
            yield [Rejection(line, "", "", f"the row has {len(row)} cells, the heading {len(header)}")]
            continue
        values = mapping.values(row, places)
        if isinstance(values, dict):
            yield Row(line, values)
        else:
            yield [Rejection(line, *wrong) for wrong in values]


def _next_filled(reader: Any) -> tuple[list[str] | None, int]:
    """The next row that isn't blank, and the line at which it begins."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return None, line
        except csv.Error as error:
            raise InvalidArgument("data", f"line {line}", f"it must be CSV: {error}", "FILE_BROKEN") from error
        except UnicodeDecodeError as error:
            raise InvalidArgument(
                "data", f"after line {line}", f"the text must be {error.encoding}", "ENCODING_WRONG"
            ) from error
        if any(cell.strip() for cell in row):
            return row, line
