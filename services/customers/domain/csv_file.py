"""Reads a CSV file that comes in pieces: records, and where in the file to go on after them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from services.shared.errors import InvalidArgument

NEWLINE = b"\n"  # no other character of UTF-8 or GB18030 holds this byte
MARK = "\ufeff"
HALF_A_RECORD = "unexpected end of data"


@dataclass
class Place:
    """Where to go on in a file: at byte `offset`, with what stands after line `line`."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True)
class Records:
    """Records that aren't blank, each with the line at which it begins; the file's first line is 1."""

    lines: Sequence[int]
    rows: Sequence[list[str]]


class CsvFile:
    """A CSV file from `place` on. `encoding`: "utf-8" (with or without a byte-order mark) or "gb18030"."""

    def __init__(self, encoding: str, delimiter: str, place: Place) -> None:
        self._encoding = encoding
        self._delimiter = delimiter
        self._rest = b""
        self.place = place

    def feed(self, piece: bytes, *, last: bool) -> Records:
        """The records that are whole with the file's next bytes; `place` is then after them.

        Raises InvalidArgument where it is no CSV (FILE_BROKEN) or not of its encoding (ENCODING_WRONG).
        """
        data = self._rest + piece
        end = len(data) if last else data.rfind(NEWLINE) + 1
        text = self._decoded(data[:end])
        if self.place.offset == 0:
            text = text.removeprefix(MARK)
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True)
        rows: list[list[str]] = []
        ends: list[int] = []
        try:
            for row in reader:
                rows.append(row)
                ends.append(reader.line_num)
        except csv.Error as error:
            after = ends[-1] if ends else 0
            if last or str(error) != HALF_A_RECORD:
                line = self.place.line + after + 1
                raise InvalidArgument("data", f"line {line}", f"it must be CSV: {error}", "FILE_BROKEN") from error
            end = _end_of_line(data, after)
        records = _filled(rows, ends, self.place.line)
        self._rest = data[end:]
        self.place = Place(self.place.offset + end, self.place.line + (ends[-1] if ends else 0))
        return records

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode(self._encoding)
        except UnicodeDecodeError as error:
            line = self.place.line + data.count(NEWLINE, 0, error.start)
            raise InvalidArgument(
                "data", f"after line {line}", f"the text must be {self._encoding}", "ENCODING_WRONG"
            ) from error


def _end_of_line(data: bytes, lines: int) -> int:
    """Where the first `lines` lines end."""
    end = 0
    for _ in range(lines):
        end = data.index(NEWLINE, end) + 1
    return end


def _filled(rows: list[list[str]], ends: list[int], before: int) -> Records:
    """Without blank rows. `ends`: the line at which each row ends, counted from the line after `before`."""
    begins = [before + 1, *(before + end + 1 for end in ends[:-1])] if ends else []
    blank = [index for index, row in enumerate(rows) if not row or not (row[0].strip() or "".join(row).strip())]
    if not blank:
        return Records(begins, rows)
    left_out = set(blank)
    kept = [index for index in range(len(rows)) if index not in left_out]
    return Records([begins[index] for index in kept], [rows[index] for index in kept])
