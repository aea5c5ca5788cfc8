"""What the columns of a foreign file mean, checked before a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from services.customers.domain.fields import ISO_DATE, BadValue, Field, Value, day, is_date_format
from services.shared.errors import InvalidArgument


@dataclass(frozen=True)
class Column:
    """Where a field's value comes from. `values`: what the file's words mean; where given, no others are allowed.

    `date_format` is strptime's; `default` stands for an empty cell.
    """

    heading: str
    date_format: str = ISO_DATE
    values: Mapping[str, str] = field(default_factory=dict)
    default: str = ""


@dataclass(frozen=True)
class FieldMapping:
    """The mapping of a file to `fields`. Raises InvalidArgument (MAPPING_WRONG) where it can't be right."""

    fields: Mapping[str, Field]
    columns: Mapping[str, Column]
    constants: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        for place, names in (("columns", self.columns), ("constants", self.constants)):
            for name in names:
                if name not in self.fields:
                    raise wrong(f"start.mapping.{place}[{name}]", name, f"the fields are {', '.join(self.fields)}")
        for name, wanted in self.fields.items():
            if name in self.columns and name in self.constants:
                raise wrong(f"start.mapping.constants[{name}]", name, "a field has a column or a constant, not both")
            if wanted.required and name not in self.columns and name not in self.constants:
                raise wrong(f"start.mapping.columns[{name}]", "", f"the field {name} must be mapped")
        for name, column in self.columns.items():
            if self.fields[name].read is day and not is_date_format(column.date_format):
                raise wrong(f"start.mapping.columns[{name}].format", column.date_format,
                            "it must hold day, month and year, e.g. %d.%m.%Y")  # fmt: skip
            try:
                self._texts_in(name, column)
            except BadValue as error:
                raise wrong(f"start.mapping.columns[{name}]", column.heading, str(error)) from error
        for name, constant in self.constants.items():
            try:
                self.fields[name].read(constant, ISO_DATE)
            except BadValue as error:
                raise wrong(f"start.mapping.constants[{name}]", constant, str(error)) from error

    def _texts_in(self, name: str, column: Column) -> None:
        """Raises BadValue where a word that the mapping itself brings is none of the field's."""
        for word in (*column.values.values(), *([column.default] if column.default else [])):
            self.fields[name].read(word, column.date_format)

    @property
    def written(self) -> list[str]:
        """The fields that an import by this mapping writes, in their order."""
        return [name for name in self.fields if name in self.columns or name in self.constants]

    def places(self, header: Sequence[str]) -> dict[str, int]:
        """Where each mapped field lies in the rows under `header`.

        Raises InvalidArgument naming the column: COLUMN_MISSING, COLUMN_NOT_MAPPED, COLUMN_TWICE.
        """
        names = [name.strip() for name in header]
        mapped = {column.heading for column in self.columns.values()}
        for column in self.columns.values():
            if column.heading not in names:
                alike = get_close_matches(column.heading, names, 1)
                hint = f"did you mean {alike[0]!r}?" if alike else f"the file has {', '.join(names)}"[:500]
                raise InvalidArgument("data", column.heading, f"the file has no such column; {hint}", "COLUMN_MISSING")
        for name in names:
            if name not in mapped and name not in self.ignore:
                raise InvalidArgument(
                    "data", name, "the column is neither mapped nor listed under ignore", "COLUMN_NOT_MAPPED"
                )
            if names.count(name) > 1 and name in mapped:
                raise InvalidArgument("data", name, "the file has two columns of this name", "COLUMN_TWICE")
        return {name: names.index(column.heading) for name, column in self.columns.items()}

    def values(self, row: Sequence[str], places: Mapping[str, int]) -> dict[str, Value] | list[tuple[str, str, str]]:
        """The row's values by field, or what is wrong with it: (column, cell, reason) each."""
        values: dict[str, Value] = {}
        wrong_cells = []
        for name in self.written:
            known = self.fields[name]
            if name in self.constants:
                values[name] = known.read(self.constants[name], ISO_DATE)
                continue
            column, cell = self.columns[name], row[places[name]].strip()
            try:
                values[name] = self._value(known, column, cell)
            except BadValue as error:
                wrong_cells.append((column.heading, cell, str(error)))
        return wrong_cells or values

    @staticmethod
    def _value(known: Field, column: Column, cell: str) -> Value:
        if cell and column.values:
            if cell not in column.values:
                raise BadValue(f"it must be one of {', '.join(column.values)}"[:500])
            cell = column.values[cell]
        cell = cell or column.default
        if not cell:
            if known.required:
                raise BadValue(f"{known.name} must not be empty")
            return None
        return known.read(cell, column.date_format)


def wrong(path: str, value: object, allowed: str) -> InvalidArgument:
    return InvalidArgument(path, value, allowed, "MAPPING_WRONG")
