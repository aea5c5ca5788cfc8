"""Conditions as people write and read them: `tickets_14d >= 5`, joined by all, any and not."""

import re
from collections.abc import Iterator
from typing import Any

from services.cli.failure import CommandFailed

SIGNS = {1: "<", 2: "≤", 3: "=", 4: "≠", 5: "≥", 6: ">", 7: "one of", 8: "contains", 9: "starts with", 10: "known"}
OPERATORS = {**{sign: operator for operator, sign in SIGNS.items()}, "<=": 2, "==": 3, "!=": 4, ">=": 5}
ONE_OF, KNOWN = 7, 10
COMPARISON = re.compile(
    r"\s*(?P<field>[\w.]+)"
    r"(?:\s*(?P<sign><=|>=|==|!=|[<≤=≠≥>])(?!\s*[<≤=≠≥>!~])|\s+(?P<words>one of|contains|starts with)\s)"
    r"\s*(?P<value>\S(?:.*\S)?)\s*"
    r"|\s*(?P<known>[\w.]+)\s+(?:is\s+)?known\s*",
    re.ASCII,
)
"""What follows a sign is a value: `=>`, `<>` and `=~` are mistyped, and no values that begin with half a sign."""
JOINED = re.compile(
    r"\s(?:and|or)\s+[\w.]+\s*(?:[<≤=≠≥>]|!=|one of\s|contains\s|starts with\s)", re.ASCII | re.IGNORECASE
)
"""Two comparisons in one text: the second would be taken for a part of the first one's value."""


def condition_of(written: Any, path: str) -> Any:
    """The Condition that a part of a YAML file holds: a comparison as text, `all:` or `any:` with a list, or `not:`.

    Comparisons: `seats >= 5`, `region = East`, `region one of East, West`, `tags contains vip`, `name starts with A`,
    `industry known`.

    Args:
        written: what YAML found there.
        path: where that is, for the error.

    Raises:
        CommandFailed: it is no condition; names the part.
    """
    from kejing.common.v1.condition_pb2 import Condition, Conditions

    if isinstance(written, str):
        return Condition(comparison=_comparison(written, path))
    match written:
        case {"all": list() as parts} if len(written) == 1:
            return Condition(all=Conditions(conditions=_each(parts, f"{path}.all")))
        case {"any": list() as parts} if len(written) == 1:
            return Condition(any=Conditions(conditions=_each(parts, f"{path}.any")))
        case {"not": part} if len(written) == 1:
            return Condition(negated=condition_of(part, f"{path}.not"))
    raise CommandFailed(f"{path} must be a comparison, or one of `all:` and `any:` with a list, or `not:`")


def _comparison(written: str, path: str) -> Any:
    from kejing.common.v1.condition_pb2 import Comparison

    found = COMPARISON.fullmatch(written)
    if not found:
        raise CommandFailed(
            f"{path} is {written!r}; write a comparison such as tickets_14d >= 5, region = East, "
            "region one of East, West, tags contains vip, name starts with A, industry known"
        )
    if JOINED.search(found["value"] or ""):
        raise CommandFailed(f"{path} is {written!r}; write one comparison here, and each of the others by itself")
    operator: Any = KNOWN if found["known"] else OPERATORS[found["sign"] or found["words"]]
    if operator == KNOWN:
        return Comparison(field=found["known"], operator=operator)
    if operator == ONE_OF:
        values = [value.strip() for value in found["value"].split(",") if value.strip()]
        return Comparison(field=found["field"], operator=operator, values=values)
    return Comparison(field=found["field"], operator=operator, value=found["value"])


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
    against = ", ".join(comparison.values) or comparison.value
    return f"{comparison.field} {SIGNS[comparison.operator]} {against}".rstrip()
