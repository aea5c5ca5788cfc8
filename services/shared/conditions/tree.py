"""Conditions as values, without I/O: their answer, why it is so, their parts, their form as data.

A comparison with a value that is not known has no answer (None). What has no answer is left out of the ALL or ANY that
it stands in; a tree in which nothing has an answer has none. So health is computed from what there is.

Where a condition is asked strictly, as segments are, what is not known might be anything: an ALL has no answer where
one part has none and no other fails, an ANY where one part has none and no other holds. So nobody is in a segment
because nothing is known of him.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from services.shared.conditions.values import Day, FieldType, Operand, Operator, Value, operand, written

Values = Mapping[str, Any]
"""The value of each field (see values.Value); None or missing where it is not known. A set without members is known."""

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
"""The operators that compare one value with one, for Python's values and for SQL expressions alike."""


@dataclass(frozen=True)
class Comparison:
    """`value` for the operators that compare with one, `values` for ONE_OF; neither for KNOWN. `denied`: it holds where
    the rest of it doesn't; only while conditions are taken apart, never in one that is kept.
    """

    field: str
    operator: Operator
    value: Operand | None = None
    values: tuple[Operand, ...] = ()
    type: FieldType = FieldType.NUMBER
    denied: bool = False

    def __str__(self) -> str:
        asked = f"{self.field} is known" if self.operator is Operator.KNOWN else f"{self.field} {self.operator}"
        against = ", ".join(map(written, self.operands))
        return f"{'not ' if self.denied else ''}{asked}{' ' if against else ''}{against}"

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.values if self.value is None else (self.value,)

    @property
    def opposite(self) -> "Comparison":
        """What holds exactly where this has an answer and doesn't hold."""
        if self.operator in OPPOSITE:
            return replace(self, operator=OPPOSITE[self.operator])
        return replace(self, denied=not self.denied)

    def answer(self, values: Values, today: date | None = None) -> bool | None:
        known = values.get(self.field)
        if self.operator is Operator.KNOWN:
            holds = bool(known) if self.type is FieldType.SET else known is not None
        elif known is None:
            return None
        else:
            holds = self._holds(known, today)
        return holds != self.denied

    def _holds(self, known: Any, today: date | None) -> bool:
        meant = [as_compared(self.type, each, today) for each in self.operands]
        if self.type is FieldType.SET:
            return any(each in known for each in meant)
        found = known.casefold() if self.type is FieldType.TEXT else known
        match self.operator:
            case Operator.ONE_OF:
                return found in meant
            case Operator.CONTAINS:
                return meant[0] in found
            case Operator.STARTS_WITH:
                return bool(found.startswith(meant[0]))
        return bool(APPLY[self.operator](found, meant[0]))


def as_compared(type_: FieldType, value: Operand, today: date | None) -> Any:
    """A comparison's value as it meets a field's: a date, a text in which upper and lower case are alike."""
    if isinstance(value, Day):
        return value.on(today)
    return value.casefold() if type_ is FieldType.TEXT and isinstance(value, str) else value


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


def answer(condition: Condition, values: Values, today: date | None = None, *, strict: bool = False) -> bool | None:
    """Whether the condition holds for `values`; None where it has no answer.

    `today`: the business date, for conditions that speak of it. `strict`: see above.
    """
    match condition:
        case Comparison():
            return condition.answer(values, today)
        case Not(part):
            found = answer(part, values, today, strict=strict)
            return None if found is None else not found
        case AllOf(parts) | AnyOf(parts):
            answers = [answer(part, values, today, strict=strict) for part in parts]
            decides = isinstance(condition, AnyOf)
            if decides in answers:
                return decides
            is_open = None in answers if strict else set(answers) == {None}
            return None if is_open else not decides


@dataclass(frozen=True)
class Reason:
    """A comparison, the value that it met, and its answer. `decisive`: the condition's answer rests on it."""

    comparison: Comparison
    value: Value | None
    holds: bool | None
    decisive: bool


def explain(condition: Condition, values: Values, today: date | None = None, *, strict: bool = False) -> list[Reason]:
    """What became of every comparison, in the order of the tree.

    An answer rests on the parts that have the same one: that an ALL holds, on each part; that it doesn't, on those
    that don't.
    """

    def reasons(part: Condition, decisive: bool) -> Iterator[Reason]:
        match part:
            case Comparison():
                yield Reason(part, values.get(part.field), part.answer(values, today), decisive)
            case Not(below):
                yield from reasons(below, decisive)
            case AllOf(parts) | AnyOf(parts):
                whole = answer(part, values, today, strict=strict)
                for below in parts:
                    alike = answer(below, values, today, strict=strict) == whole
                    yield from reasons(below, decisive and alike)

    return list(reasons(condition, True))


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


def speaks_of_today(condition: Condition) -> bool:
    """Whether its answer may become another one because a day has passed."""
    return any(isinstance(each, Day) and each.fixed is None
               for comparison in comparisons(condition) for each in comparison.operands)  # fmt: skip


def to_data(condition: Condition) -> dict[str, Any]:
    """The condition as JSON data, as it is stored; the type is left out where it is NUMBER."""
    match condition:
        case Comparison(field, op, value, values, type_):
            data: dict[str, Any] = {"field": field, "operator": op.value}
            if type_ is not FieldType.NUMBER:
                data["type"] = type_.value
            if value is not None:
                data["value"] = str(value) if isinstance(value, Decimal) else written(value)
            if values:
                data["values"] = [written(each) for each in values]
            return data
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
        case {"field": field, "operator": op}:
            type_ = FieldType(data.get("type", FieldType.NUMBER))
            value = operand(type_, data["value"]) if "value" in data else None
            values = tuple(operand(type_, each) for each in data.get("values", ()))
            return Comparison(field, Operator(op), value, values, type_)
    raise ValueError(f"no condition: {data!r:.200}")
