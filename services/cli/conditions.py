"""Conditions as people write and read them: `tickets_14d >= 5`, joined by all, any and not."""

import re
from collections.abc import Iterator
from typing import Any

from services.cli.failure import CommandFailed

SIGNS = {1: "<", 2: "≤", 3: "=", 4: "≠", 5: "≥", 6: ">"}
OPERATORS = {**{sign: operator for operator, sign in SIGNS.items()}, "<=": 2, "==": 3, "!=": 4, ">=": 5}
COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|[<≤=≠≥>])\s*(\S+)\s*", re.ASCII)


def condition_of(written: Any, path: str) -> Any:
    """The Condition that a part of a YAML file holds: a comparison as text, `all:` or `any:` with a list, or `not:`.

    Args:
        written: what YAML found there.
        path: where that is, for the error.

    Raises:
        CommandFailed: it is no condition; names the part.
    """
    from kejing.common.v1.condition_pb2 import Comparison, Condition, Conditions

    if isinstance(written, str):
        found = COMPARISON.fullmatch(written)
        if not found:
            raise CommandFailed(f"{path} is {written!r}; write a comparison such as tickets_14d >= 5")
        field, sign, value = found.groups()
        operator: Any = OPERATORS[sign]
        return Condition(comparison=Comparison(field=field, operator=operator, value=value))
    match written:
        case {"all": list() as parts} if len(written) == 1:
            return Condition(all=Conditions(conditions=_each(parts, f"{path}.all")))
        case {"any": list() as parts} if len(written) == 1:
            return Condition(any=Conditions(conditions=_each(parts, f"{path}.any")))
        case {"not": part} if len(written) == 1:
            return Condition(negated=condition_of(part, f"{path}.not"))
    raise CommandFailed(f"{path} must be a comparison, or one of `all:` and `any:` with a list, or `not:`")


def _each(parts: list[Any], path: str) -> Iterator[Any]:
    return (condition_of(part, f"{path}[{place}]") for place, part in enumerate(parts))


def condition_text(condition: Any) -> str:
    """A condition as people read it: "a ≥ 1 or (b < 2 and not c = 3)"."""
    kind = condition.WhichOneof("kind")
    match kind:
        case "comparison":
            return text_of(condition.comparison)
        case "negated":
            return f"not ({condition_text(condition.negated)})"
    word = " and " if kind == "all" else " or "
    return word.join(_texts(getattr(condition, kind).conditions))


def _texts(conditions: Any) -> Iterator[str]:
    for part in conditions:
        text = condition_text(part)
        yield f"({text})" if part.WhichOneof("kind") in ("all", "any") else text


def text_of(comparison: Any) -> str:
    return f"{comparison.field} {SIGNS[comparison.operator]} {comparison.value}"
