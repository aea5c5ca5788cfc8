"""What a mapping makes of a file's rows: values column by column, or why a row can't be taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from services.customers.domain.csv_file import Records
from services.customers.domain.fields import FORMULA, PLAIN, TYPED, BadValue, Field
from services.customers.domain.mapping import Column, FieldMapping
from services.customers.domain.spreadsheets import unguarded

REMEMBERED = 20_000
"""Cells of a column whose values are remembered."""

Value = str | None
"""As it is staged; None for an empty cell."""
Cells = Sequence[str]


@dataclass(frozen=True)
class Rejection:
    """What is wrong with a row. `column` is empty where it is the row as a whole."""

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Good rows by columns (`values`: field → a value a line of `lines`), and what is wrong with the others, whose
    cells are in `rejected`: line → cells.
    """

    lines: Sequence[int]
    values: Mapping[str, Sequence[Value]]
    rejections: Sequence[Rejection]
    rejected: Mapping[int, Cells]


class RowReader:
    """Reads rows under `header`, in whole batches: what is checked for a column at once costs a tenth.

    Raises InvalidArgument: see FieldMapping.places.
    """

    def __init__(self, mapping: FieldMapping, header: Cells) -> None:
        self._width = len(header)
        self._constants = {name: mapping.fields[name].read(word, PLAIN) for name, word in mapping.constants.items()}
        self._columns = {
            name: _ColumnReader(mapping.fields[name], mapping.columns[name], place)
            for name, place in mapping.places(header).items()
        }
        self._written = mapping.written

    def read(self, records: Records) -> Batch:
        wrong: dict[int, list[Rejection]] = {}
        lines, rows = records.lines, records.rows
        if any(len(row) != self._width for row in rows):
            rows = list(rows)
            for index, row in enumerate(rows):
                if len(row) != self._width:
                    reason = f"the row has {len(row)} cells, the heading {self._width}"
                    wrong[index] = [Rejection(lines[index], "", "", reason)]
                    rows[index] = [""] * self._width
        columns = list(zip(*rows, strict=True)) or [()] * self._width
        short = wrong.keys() | set()
        values: dict[str, Sequence[Value]] = {}
        for name in self._written:
            if name in self._constants:
                values[name] = [self._constants[name]] * len(rows)
                continue
            reader = self._columns[name]
            values[name], bad = reader.read(columns[reader.place])
            for index, error in bad.items():
                if index not in short:
                    cell = rows[index][reader.place].strip().lstrip(FORMULA + TYPED)
                    shown = "" if reader.field.is_secret else cell
                    wrong.setdefault(index, []).append(
                        Rejection(lines[index], reader.column.heading, shown, str(error))
                    )
        if not wrong:
            return Batch(lines, values, [], {})
        good = [index not in wrong for index in range(len(rows))]
        return Batch(
            list(compress(lines, good)),
            {name: list(compress(column, good)) for name, column in values.items()},
            [rejection for index in sorted(wrong) for rejection in wrong[index]],
            {lines[index]: records.rows[index] for index in wrong},
        )


class _ColumnReader:
    """Reads the cells of one column."""

    def __init__(self, field: Field, column: Column, place: int) -> None:
        self.field = field
        self.column = column
        self.place = place
        self._known = _Remembered(self._value)

    def read(self, cells: Cells) -> tuple[Sequence[Value], Mapping[int, BadValue]]:
        """A value for each cell, and by position what is wrong."""
        if self.field.longest and not self.column.values and self._are_plain(cells):
            return self._plain(cells), {}
        known = self._known
        known.begin()
        values = list(map(known.__getitem__, cells))
        bad = {index: value for index, value in enumerate(values) if isinstance(value, BadValue)} if known.bad else {}
        return values, bad  # type: ignore[return-value]  # a row with a bad value is left out

    def _are_plain(self, cells: Cells) -> bool:
        """Whether no cell needs a look of its own: none has a character that isn't printed, blanks at an end, or is
        too long, or empty where that isn't allowed.
        """
        joined = "|".join(cells)
        return (
            joined.isprintable()
            and "'" not in joined
            and "| " not in joined
            and " |" not in joined
            and joined[:1] != " "
            and joined[-1:] != " "
            and max(map(len, cells), default=0) + len(self.column.prefix) <= self.field.longest
            and not (self.field.required and not self.column.default and "" in cells)
        )

    def _plain(self, cells: Cells) -> Sequence[Value]:
        column = self.column
        if column.prefix:
            return [column.prefix + cell if cell else self._value(cell) for cell in cells]  # type: ignore[misc]
        if "" in cells:
            empty = column.default or None
            return [cell or empty for cell in cells]
        return cells

    def _value(self, cell: str) -> Value | BadValue:
        try:
            return self._read(unguarded(cell.strip()))
        except BadValue as error:
            return error

    def _read(self, cell: str) -> Value:
        column = self.column
        if cell.startswith(FORMULA):
            raise BadValue("it holds a formula; put its value there instead")
        writing = PLAIN if cell.startswith(TYPED) else column.writing
        cell = cell.removeprefix(TYPED).strip()
        if cell and column.values:
            if cell not in column.values:
                raise BadValue(f"it must be one of {', '.join(column.values)}"[:500])
            cell = column.values[cell]
        cell = cell or column.default
        if not cell:
            if self.field.required:
                raise BadValue(f"{self.field.name} must not be empty")
            return None
        return self.field.read(column.prefix + cell, writing)


class _Remembered(dict[str, Value | BadValue]):
    """Cells whose value is known: dates, words and numbers come again and again. `bad`: some of them are wrong."""

    def __init__(self, read: Callable[[str], Value | BadValue]) -> None:
        super().__init__()
        self._read = read
        self.bad = False

    def begin(self) -> None:
        """Forgets, where much is remembered. Not while a batch is read: its values are looked up once each."""
        if len(self) > REMEMBERED:
            self.clear()
            self.bad = False

    def __missing__(self, cell: str) -> Value | BadValue:
        value = self[cell] = self._read(cell)
        self.bad = self.bad or isinstance(value, BadValue)
        return value


def numbered(records: Records, *, by_record: bool) -> Records:
    """Records by the numbers that they begin with, where they do."""
    if not by_record:
        return records
    return Records([int(row[0]) for row in records.rows], [row[1:] for row in records.rows])
