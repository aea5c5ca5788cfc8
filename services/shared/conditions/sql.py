"""A condition as an SQL expression with the same answer."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, func, not_

from services.shared.conditions.tree import APPLY, AllOf, AnyOf, Comparison, Condition, Not


def to_sql(condition: Condition, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    """True, false, or NULL where nothing in the condition has an answer.

    Args:
        columns: a numeric expression for each field, NULL where it is not known.
    """
    match condition:
        case Comparison(field, operator, value):
            answer: ColumnElement[bool] = APPLY[operator](columns[field], value)
            return answer
        case Not(part):
            return not_(to_sql(part, columns))
        # least and greatest pass over NULLs and are NULL only where all are: just what an ALL and an ANY have to do
        case AllOf(parts):
            return func.least(*(to_sql(part, columns) for part in parts), type_=Boolean)
        case AnyOf(parts):
            return func.greatest(*(to_sql(part, columns) for part in parts), type_=Boolean)
