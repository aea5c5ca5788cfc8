"""What the columns of a foreign file mean, checked before a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from services.customers.domain.fields import PLAIN, BadValue, Field, Writing, day, is_date_format
from services.shared.errors import InvalidArgument

LINKING = ("external_id", "number", "credit_code")


@dataclass(frozen=True)
class Column:
    """Where a field's value comes from. `values`: what the file's words mean; where given, no others are allowed.

    `default` stands for an empty cell; `prefix` is put before each value.
    """

    heading: str
    writing: Writing = PLAIN
    values: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    prefix: str = ""

    @property
    def brings_words(self) -> bool:
        """Whether the mapping itself holds values."""
        return bool(self.values or self.default or self.prefix)


@dataclass(frozen=True)
class FieldMapping:
    """The mapping of a file to `fields`. Raises InvalidArgument (MAPPING_WRONG) where it can't be right.

    `ours`: fields that only a row which creates something fills. `link_by`: one of LINKING, or "".
    """

    fields: Mapping[str, Field]
    columns: Mapping[str, Column]
    constants: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    ours: Sequence[str] = ()
    link_by: str = ""

    def __post_init__(self) -> None:
        for place, names in (("columns", self.columns), ("constants", self.constants), ("ours", self.ours)):
            for name in names:
                if name not in self.fields:
                    raise wrong(f"start.mapping.{place}[{name}]", name, f"the fields are {', '.join(self.fields)}")
        for name, wanted in self.fields.items():
            if name in self.columns and name in self.constants:
                raise wrong(f"start.mapping.constants[{name}]", name, "a field has a column or a constant, not both")
            if wanted.required and name not in self.columns and name not in self.constants:
                raise wrong(f"start.mapping.columns[{name}]", "", f"the field {name} must be mapped")
            if wanted.key and name in self.ours:
                raise wrong("start.mapping.ours", name, "what a row is known by belongs to its source")
            brought = name in self.constants or (name in self.columns and self.columns[name].brings_words)
            if wanted.is_secret and brought:
                raise wrong(f"start.mapping.columns[{name}]", "", "a mapping must not hold what is kept encrypted")
        if self.link_by and self.link_by not in self.written:
            raise wrong("start.mapping.link_by", self.link_by, f"the field {self.link_by} must be mapped")
        for name, column in self.columns.items():
            self._check(name, column)
        for name, constant in self.constants.items():
            try:
                self.fields[name].read(constant, PLAIN)
            except BadValue as error:
                raise wrong(f"start.mapping.constants[{name}]", constant, str(error)) from error

    def _check(self, name: str, column: Column) -> None:
        known, path = self.fields[name], f"start.mapping.columns[{name}]"
        for date_format in column.writing.formats if known.read is day else ():
            if not is_date_format(date_format):
                raise wrong(f"{path}.format", date_format, "it must hold day, month and year, e.g. %d.%m.%Y")
        if column.writing.thousands == column.writing.decimal:
            raise wrong(f"{path}.thousands", column.writing.thousands, "thousands and decimals begin differently")
        if column.prefix and not known.longest:
            raise wrong(f"{path}.prefix", column.prefix, "only texts can have one")
        try:
            for word in (*column.values.values(), *([column.default] if column.default else [])):
                known.read(column.prefix + word, column.writing)
        except BadValue as error:
            raise wrong(path, column.heading, str(error)) from error

    @property
    def written(self) -> list[str]:
        """The fields that an import by this mapping brings, in their order."""
        return [name for name in self.fields if name in self.columns or name in self.constants]

    def heading(self, name: str) -> str:
        """The column that brings the field, or the field's name where it is a constant."""
        return self.columns[name].heading if name in self.columns else name

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
            if name not in mapped and name not in self.ignore and name != REASON_HEADING:
                raise InvalidArgument(
                    "data", name, "the column is neither mapped nor listed under ignore", "COLUMN_NOT_MAPPED"
                )
            if names.count(name) > 1 and name in mapped:
                raise InvalidArgument("data", name, "the file has two columns of this name", "COLUMN_TWICE")
        return {name: names.index(column.heading) for name, column in self.columns.items()}


REASON_HEADING = "rejected because"
"""The column that a file of rejected rows has beside its own; it may come back with them."""


def wrong(path: str, value: object, allowed: str) -> InvalidArgument:
    return InvalidArgument(path, value, allowed, "MAPPING_WRONG")
