"""What is refused when a condition is saved: unknown fields, what can never hold, what is too large."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, pairwise

from services.shared.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not, comparisons
from services.shared.errors import InvalidArgument

MAX_COMPARISONS = 50
MAX_DEPTH = 8
MAX_ALTERNATIVES = 200
"""Ways in which a tree can hold that the check looks at; a tree of more is refused."""

Alternative = tuple[Comparison, ...]
"""Comparisons that together make a tree hold."""


@dataclass(frozen=True)
class Field:
    """What a condition may ask for: a number from `minimum` to `maximum` (None: without end)."""

    key: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    whole: bool = False

    def holds(self, value: Decimal) -> bool:
        """Whether the field can have that value."""
        if self.whole and value != value.to_integral_value():
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        low = "" if self.minimum is None else f" from {self.minimum}"
        high = "" if self.maximum is None else f" to {self.maximum}"
        return f"{self.key} is a {kind}{low}{high or ' up' if low else high}"


def check(condition: Condition, fields: Mapping[str, Field], path: str) -> None:
    """Refuses a condition that is wrong by itself.

    Args:
        fields: the catalogue, by key.
        path: where the condition stands in the request, for the message.

    Raises:
        InvalidArgument: CONDITION_TOO_LARGE, CONDITION_FIELD_UNKNOWN or CONDITION_IMPOSSIBLE, naming the part.
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
        if possible_values([comparison], fields) is None:
            raise InvalidArgument(where, str(comparison), f"it can never hold: {field}", "CONDITION_IMPOSSIBLE")
    if all(possible_values(way, fields) is None for way in alternatives(condition, path)):
        asked = ", ".join(sorted({comparison.field for comparison in comparisons(condition)}))
        raise InvalidArgument(path, "contradictory", f"it can never hold for any values of {asked}",
                              "CONDITION_IMPOSSIBLE")  # fmt: skip


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
        case Comparison(field, operator, value):
            return [(Comparison(field, operator.opposite if negated else operator, value),)]
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


def possible_values(way: Iterable[Comparison], fields: Mapping[str, Field]) -> dict[str, Decimal] | None:
    """Values for which all comparisons hold; None where there are none."""
    by_field: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in way:
        by_field[comparison.field].append(comparison)
    found: dict[str, Decimal] = {}
    for key, asked in by_field.items():
        value = _possible_value(fields[key], asked)
        if value is None:
            return None
        found[key] = value
    return found


def _possible_value(field: Field, asked: Sequence[Comparison]) -> Decimal | None:
    # Answers change only at the compared values and at the range's ends: one value between each two of them is enough.
    marks = sorted({c.value for c in asked} | {end for end in (field.minimum, field.maximum) if end is not None})
    if field.whole:
        candidates = [Decimal(base + step) for mark in marks for base in (math.floor(mark), math.ceil(mark))
                      for step in (0, -1, 1)]  # fmt: skip
    else:
        between = [(low + high) / 2 for low, high in pairwise(marks)]
        candidates = [*marks, *between, marks[0] - 1, marks[-1] + 1]
    for value in candidates:
        if field.holds(value) and all(c.answer({field.key: value}) for c in asked):
            return value
    return None
