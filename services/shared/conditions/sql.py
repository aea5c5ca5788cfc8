"""A condition as an SQL expression with the same answer."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, and_, any_, collate, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import ARRAY, array

from services.shared.conditions.tree import APPLY, AllOf, AnyOf, Comparison, Condition, Not, as_compared
from services.shared.conditions.values import FieldType, Operator

FULL_CASE_FOLDING = "pg_unicode_fast"
"""The collation by which Postgres folds upper and lower case as Python's casefold does."""


def to_sql(
    condition: Condition,
    columns: Mapping[str, ColumnElement[Any]],
    today: date | None = None,
    *,
    strict: bool = False,
) -> ColumnElement[bool]:
    """True, false, or NULL where the condition has no answer.

    Args:
        columns: an expression for each field, NULL where it is not known: numeric, date, text or boolean by the field's
            type; for a SET an array of text that is never NULL.
        today: the business date, for conditions that speak of it.
        strict: see services.shared.conditions.tree.
    """

    def of(part: Condition) -> ColumnElement[bool]:
        match part:
            case Comparison():
                return _comparison(part, columns[part.field], today)
            case Not(below):
                return not_(of(below))
            # least and greatest pass over NULLs and are NULL only where all are: just what an ALL and an ANY have to do
            case AllOf(parts):
                return and_(*map(of, parts)) if strict else func.least(*map(of, parts), type_=Boolean)
            case AnyOf(parts):
                return or_(*map(of, parts)) if strict else func.greatest(*map(of, parts), type_=Boolean)

    return of(condition)


def _comparison(asked: Comparison, column: ColumnElement[Any], today: date | None) -> ColumnElement[bool]:
    answer: Any
    meant = [as_compared(asked.type, each, today) for each in asked.operands]
    if asked.type is FieldType.SET:
        if asked.operator is Operator.KNOWN:
            answer = func.cardinality(column) > 0
        else:
            answer = column.op("&&", is_comparison=True, return_type=Boolean())(literal(meant, ARRAY(Text)))
        return answer  # type: ignore[no-any-return]
    if asked.operator is Operator.KNOWN:
        return column.is_not(None)
    found = column
    if asked.type is FieldType.TEXT:
        found = func.casefold(collate(column, FULL_CASE_FOLDING), type_=Text)
    match asked.operator:
        case Operator.ONE_OF:
            answer = found == any_(array([literal(each) for each in meant]))
        case Operator.CONTAINS:
            answer = func.strpos(found, literal(meant[0])) > 0
        case Operator.STARTS_WITH:
            answer = func.starts_with(found, literal(meant[0]), type_=Boolean)
        case _:
            answer = APPLY[asked.operator](found, meant[0])
    return answer  # type: ignore[no-any-return]
