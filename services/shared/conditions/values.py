"""What conditions compare: the types of fields, the operators that each may be asked with, values as texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum


class FieldType(StrEnum):
    NUMBER = "NUMBER"
    DATE = "DATE"
    TEXT = "TEXT"
    BOOLEAN = "BOOLEAN"
    OPTION = "OPTION"
    SET = "SET"


class Operator(StrEnum):
    LESS = "<"
    LESS_OR_EQUAL = "<="
    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER_OR_EQUAL = ">="
    GREATER = ">"
    ONE_OF = "one of"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    KNOWN = "known"


_ORDERED = (Operator.LESS, Operator.LESS_OR_EQUAL, Operator.EQUAL, Operator.NOT_EQUAL, Operator.GREATER_OR_EQUAL,
            Operator.GREATER, Operator.ONE_OF, Operator.KNOWN)  # fmt: skip
OPERATORS: Mapping[FieldType, tuple[Operator, ...]] = {
    FieldType.NUMBER: _ORDERED,
    FieldType.DATE: _ORDERED,
    FieldType.TEXT: (Operator.EQUAL, Operator.NOT_EQUAL, Operator.ONE_OF, Operator.CONTAINS, Operator.STARTS_WITH,
                     Operator.KNOWN),
    FieldType.BOOLEAN: (Operator.EQUAL, Operator.NOT_EQUAL, Operator.KNOWN),
    FieldType.OPTION: (Operator.EQUAL, Operator.NOT_EQUAL, Operator.ONE_OF, Operator.KNOWN),
    FieldType.SET: (Operator.CONTAINS, Operator.ONE_OF, Operator.KNOWN),
}  # fmt: skip
"""What a field of each type may be asked with."""


@dataclass(frozen=True)
class Day:
    """A date, or so many days after the day on which it is asked ("today+30")."""

    fixed: date | None = None
    after_today: int = 0

    def on(self, today: date | None) -> date:
        """The date that it stands for. Raises ValueError where it needs to know today and doesn't."""
        if self.fixed is not None:
            return self.fixed
        if today is None:
            raise ValueError(f"{self} needs to know what day it is")
        return today + timedelta(days=self.after_today)

    def __str__(self) -> str:
        if self.fixed is not None:
            return self.fixed.isoformat()
        return f"today{self.after_today:+d}" if self.after_today else "today"


Operand = Decimal | Day | bool | str
"""What a comparison compares with."""
Value = Decimal | date | bool | str | frozenset[str]
"""What a field holds: Decimal, date, str, bool, str, frozenset of str by its type."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", re.ASCII)
"""Written out: an exponent could name a number that nothing can hold."""
_DAY = re.compile(r"today(?:([+-])([0-9]{1,5}))?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MEANT = {
    FieldType.NUMBER: "a decimal number such as 0.5, with at most 10 decimals",
    FieldType.DATE: "a date as YYYY-MM-DD, today, today+30 or today-30",
    FieldType.BOOLEAN: "true or false",
    FieldType.TEXT: "a text",
    FieldType.OPTION: "a text",
    FieldType.SET: "a text",
}
"""How a value of each type is written."""


def operand(type_: FieldType, written: str) -> Operand:
    """What a text says as a value of a type. Raises ValueError where it says none."""
    match type_:
        case FieldType.NUMBER:
            if not _NUMBER.fullmatch(written):
                raise ValueError(written)
            return Decimal(written)
        case FieldType.DATE:
            if relative := _DAY.fullmatch(written):
                days = int(relative[2] or 0)
                return Day(after_today=-days if relative[1] == "-" else days)
            if not _DATE.fullmatch(written):
                raise ValueError(written)
            return Day(date.fromisoformat(written))
        case FieldType.BOOLEAN:
            if written not in ("true", "false"):
                raise ValueError(written)
            return written == "true"
    if not written or "\x00" in written:
        raise ValueError(written)
    return written


def written(value: Operand | Value) -> str:
    """A value as `operand` reads it; several of a set are joined by ", "."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value.normalize():f}"
        case frozenset():
            return ", ".join(sorted(value))
    return str(value)
