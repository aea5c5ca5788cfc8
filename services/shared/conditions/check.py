"""What is refused when a condition is saved: unknown fields, what can never hold, what is too large."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any

from services.shared.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not, comparisons
from services.shared.conditions.values import OPERATORS, Day, FieldType, Operator, written
from services.shared.errors import InvalidArgument

MAX_COMPARISONS = 50
MAX_DEPTH = 8
MAX_ALTERNATIVES = 200
"""Ways in which a tree can hold that the check looks at; a tree of more is refused."""

OTHER = "\x01"
"""What no option, text or member of a set is that anybody asks for."""
NOTHING: Any = object()
"""No value at all, not even None."""

Alternative = tuple[Comparison, ...]
"""Comparisons that together make a tree hold."""


@dataclass(frozen=True)
class Field:
    """What a condition may ask for: a number from `minimum` to `maximum` (None: without end), or another type.

    `options`: all that an OPTION may be, where that is a closed list.
    """

    key: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    whole: bool = False
    type: FieldType = FieldType.NUMBER
    options: tuple[str, ...] = ()

    def holds(self, value: Any) -> bool:
        """Whether the field can have that value."""
        if self.type is not FieldType.NUMBER:
            return not self.options or value in self.options
        if self.whole and value != value.to_integral_value():
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        if self.type is not FieldType.NUMBER:
            among = f" of {', '.join(self.options)}" if self.options else ""
            return f"{self.key} is a {self.type.lower()}{among}"
        kind = "whole number" if self.whole else "number"
        low = "" if self.minimum is None else f" from {self.minimum}"
        high = "" if self.maximum is None else f" to {self.maximum}"
        return f"{self.key} is a {kind}{low}{high or ' up' if low else high}"


DAYS = Field("days", whole=True)


def check(condition: Condition, fields: Mapping[str, Field], path: str, *, strict: bool = False) -> None:
    """Refuses a condition that is wrong by itself.

    Args:
        fields: the catalogue, by key.
        path: where the condition stands in the request, for the message.
        strict: whether it will be asked strictly (see services.shared.conditions.tree).

    Raises:
        InvalidArgument: CONDITION_TOO_LARGE, CONDITION_FIELD_UNKNOWN, CONDITION_OPERATOR_WRONG, CONDITION_VALUE_WRONG
            or CONDITION_IMPOSSIBLE, naming the part.
    """
    parts = list(_located(condition, path, 1))
    if len(parts) > MAX_COMPARISONS:
        raise InvalidArgument(path, f"{len(parts)} comparisons", f"at most {MAX_COMPARISONS} are allowed",
                              "CONDITION_TOO_LARGE")  # fmt: skip
    for where, comparison in parts:
        field = fields.get(comparison.field)
        if field is None:
            raise InvalidArgument(f"{where}.field", comparison.field, f"known are {', '.join(sorted(fields))}",
                                  "CONDITION_FIELD_UNKNOWN")  # fmt: skip
        _check_fits(comparison, field, where)
        if possible_values([comparison], fields, strict=strict) is None:
            raise InvalidArgument(where, str(comparison), f"it can never hold: {field}", "CONDITION_IMPOSSIBLE")
    if all(possible_values(way, fields, strict=strict) is None for way in alternatives(condition, path)):
        asked = ", ".join(sorted({comparison.field for comparison in comparisons(condition)}))
        raise InvalidArgument(path, "contradictory", f"it can never hold for any values of {asked}",
                              "CONDITION_IMPOSSIBLE")  # fmt: skip


def _check_fits(comparison: Comparison, field: Field, where: str) -> None:
    allowed = OPERATORS[field.type]
    if comparison.operator not in allowed:
        raise InvalidArgument(f"{where}.operator", comparison.operator.name,
                              f"{field}, which is asked by {', '.join(each.name for each in allowed)}",
                              "CONDITION_OPERATOR_WRONG")  # fmt: skip
    if comparison.type is not field.type:
        raise InvalidArgument(where, str(comparison), f"{field}", "CONDITION_VALUE_WRONG")
    if field.options and (wrong := next((each for each in comparison.operands if each not in field.options), None)):
        raise InvalidArgument(where, written(wrong), f"{field}", "CONDITION_VALUE_WRONG")


def _located(condition: Condition, path: str, depth: int) -> Iterator[tuple[str, Comparison]]:
    """Every comparison with its path in the contract's message."""
    if depth > MAX_DEPTH:
        raise InvalidArgument(path, "deep", f"conditions nest at most {MAX_DEPTH} deep", "CONDITION_TOO_LARGE")
    match condition:
        case Comparison():
            yield f"{path}.comparison", condition
        case Not(part):
            yield from _located(part, f"{path}.negated", depth + 1)
        case AllOf(parts) | AnyOf(parts):
            kind = "all" if isinstance(condition, AllOf) else "any"
            for number, part in enumerate(parts):
                yield from _located(part, f"{path}.{kind}.conditions[{number}]", depth + 1)


def alternatives(condition: Condition, path: str, negated: bool = False) -> list[Alternative]:
    """Every way in which the condition holds (its disjunctive normal form), where all values are known.

    Raises InvalidArgument (CONDITION_TOO_LARGE) where there are more than 200.
    """
    match condition:
        case Comparison():
            return [(condition.opposite if negated else condition,)]
        case Not(part):
            return alternatives(part, path, not negated)
    of_parts = [alternatives(part, path, negated) for part in condition.parts]
    if isinstance(condition, AnyOf) != negated:
        ways = list(chain.from_iterable(of_parts))
    else:
        ways = [()]
        for ways_of_part in of_parts:
            _bound(len(ways) * len(ways_of_part), path)
            ways = [(*way, *more) for way in ways for more in ways_of_part]
    _bound(len(ways), path)
    return ways


def _bound(count: int, path: str) -> None:
    if count > MAX_ALTERNATIVES:
        raise InvalidArgument(path, f"{count} combinations", f"at most {MAX_ALTERNATIVES} are allowed",
                              "CONDITION_TOO_LARGE")  # fmt: skip


def possible_values(
    way: Iterable[Comparison], fields: Mapping[str, Field], *, strict: bool = False
) -> dict[str, Any] | None:
    """Values for which all comparisons hold, None for a field that must not be known; None where there are none.

    A date is given as a number of days. Dates by themselves and dates told from today are looked at apart, for today
    is any day.
    """
    by_field: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in way:
        by_field[comparison.field].append(comparison)
    found: dict[str, Any] = {}
    for key, asked in by_field.items():
        field = fields[key]
        values = _dates(asked) if field.type is FieldType.DATE else _fitting(field, asked)
        if (value := next(values, NOTHING)) is NOTHING:
            if not _fits(asked, None, strict=strict):
                return None
            value = None
        found[key] = value
    return found


def _fitting(field: Field, asked: Sequence[Comparison]) -> Iterator[Any]:
    return (value for value in _candidates(field, asked)
            if (field.type is FieldType.SET or field.holds(value)) and _fits(asked, value))  # fmt: skip


def _fits(asked: Sequence[Comparison], value: Any, *, strict: bool = False) -> bool:
    """Whether all hold for a value; unless strict, what has no answer where it is not known is left out."""
    answers = [each.answer({each.field: value}) for each in asked]
    return all(answers) if strict else False not in answers and True in answers


def _dates(asked: Sequence[Comparison]) -> Iterator[Any]:
    kinds = []
    for relative in (False, True):
        alike = [each for each in asked if all((day.fixed is None) == relative for day in each.operands)]  # type: ignore[union-attr]
        kinds.append(next(_fitting(DAYS, [_as_number(each) for each in alike]), NOTHING) if alike else None)
    return iter(()) if NOTHING in kinds else iter(kinds)


def _as_number(comparison: Comparison) -> Comparison:
    today = date(2000, 1, 1)
    days = tuple(Decimal(day.on(today).toordinal()) for day in comparison.operands if isinstance(day, Day))
    one = comparison.value is not None
    return replace(comparison, type=FieldType.NUMBER, value=days[0] if one else None, values=() if one else days)


def _candidates(field: Field, asked: Sequence[Comparison]) -> Iterator[Any]:
    """Values among which there is one for which all hold, where there is any at all."""
    operands: list[Any] = [each for comparison in asked for each in comparison.operands]
    wanted = [each for each in asked if not each.denied]
    match field.type:
        case FieldType.NUMBER:
            yield from _numbers(field, operands)
        case FieldType.BOOLEAN:
            yield from (True, False)
        case FieldType.OPTION:
            yield from field.options or (*operands, OTHER)
        case FieldType.TEXT:
            yield from operands
            # Begins as it has to and holds all that it has to, with a character between that nobody asks for.
            starts = [str(each.value) for each in wanted if each.operator is Operator.STARTS_WITH]
            parts = [str(each.value) for each in wanted if each.operator is Operator.CONTAINS]
            yield OTHER.join([max(starts, key=len, default=""), *parts, ""])
        case FieldType.SET:
            refused = {each for comparison in asked if comparison.denied for each in comparison.operands}
            needed = [[each for each in comparison.operands if each not in refused][:1] for comparison in wanted]
            found = frozenset(chain.from_iterable(needed))
            yield from (found, found | {OTHER})


def _numbers(field: Field, operands: Sequence[Any]) -> Iterator[Decimal]:
    # Answers change only at the compared values and at the range's ends: one value between each two of them is enough.
    marks = sorted({*operands, *(end for end in (field.minimum, field.maximum) if end is not None)}) or [Decimal(0)]
    if field.whole:
        yield from (Decimal(base + step) for mark in marks for base in (math.floor(mark), math.ceil(mark))
                    for step in (0, -1, 1))  # fmt: skip
    else:
        yield from marks
        yield from ((low + high) / 2 for low, high in pairwise(marks))
        yield from (marks[0] - 1, marks[-1] + 1)
