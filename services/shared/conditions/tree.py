"""Conditions as values, without I/O: their answer, their parts, their form as data.

A comparison with a value that is not known has no answer (None). What has no answer is left out of the ALL or ANY that
it stands in; a tree in which nothing has an answer has none.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

Values = Mapping[str, Decimal | None]
"""The value of each field; None or missing where it is not known."""


class Operator(StrEnum):
    LESS = "<"
    LESS_OR_EQUAL = "<="
    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER_OR_EQUAL = ">="
    GREATER = ">"

    @property
    def opposite(self) -> "Operator":
        """The operator that holds exactly where this one does not."""
        return OPPOSITE[self]


OPPOSITE = {
    Operator.LESS: Operator.GREATER_OR_EQUAL,
    Operator.LESS_OR_EQUAL: Operator.GREATER,
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
}
APPLY = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.GREATER: operator.gt,
}
"""The operators, for Decimals and for SQL expressions alike."""


@dataclass(frozen=True)
class Comparison:
    field: str
    operator: Operator
    value: Decimal

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value}"

    def answer(self, values: Values) -> bool | None:
        known = values.get(self.field)
        return None if known is None else bool(APPLY[self.operator](known, self.value))


@dataclass(frozen=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    part: "Condition"


Condition = AllOf | AnyOf | Not | Comparison


def answer(condition: Condition, values: Values) -> bool | None:
    """Whether the condition holds for `values`; None where nothing in it has an answer."""
    match condition:
        case Comparison():
            return condition.answer(values)
        case Not(part):
            found = answer(part, values)
            return None if found is None else not found
        case AllOf(parts) | AnyOf(parts):
            answers = [found for part in parts if (found := answer(part, values)) is not None]
            if not answers:
                return None
            return all(answers) if isinstance(condition, AllOf) else any(answers)


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison, in the order of the tree."""
    match condition:
        case Comparison():
            yield condition
        case Not(part):
            yield from comparisons(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons(part)


def to_data(condition: Condition) -> dict[str, Any]:
    """The condition as JSON data, as it is stored."""
    match condition:
        case Comparison(field, op, value):
            return {"field": field, "operator": op.value, "value": str(value)}
        case Not(part):
            return {"not": to_data(part)}
        case AllOf(parts):
            return {"all": [to_data(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [to_data(part) for part in parts]}


def from_data(data: Mapping[str, Any]) -> Condition:
    """The condition that `to_data` made `data` of."""
    match data:
        case {"not": part}:
            return Not(from_data(part))
        case {"all": parts}:
            return AllOf(tuple(from_data(part) for part in parts))
        case {"any": parts}:
            return AnyOf(tuple(from_data(part) for part in parts))
        case {"field": field, "operator": op, "value": value}:
            return Comparison(field, Operator(op), Decimal(value))
    raise ValueError(f"no condition: {data!r:.200}")
