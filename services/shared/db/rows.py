"""Many rows as parameters of one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import FromClause, bindparam, column, func
from sqlalchemy.dialects.postgresql import ARRAY


def brought(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, Any]) -> FromClause:
    """`rows` as a table with the columns `kinds` (name → type).

    One parameter a column: a statement with one for each value is compiled anew for each number of rows, which takes
    many times as long as running it.
    """
    arrays = (bindparam(None, [row[name] for row in rows], ARRAY(kind)) for name, kind in kinds.items())
    columns = (column(name, kind) for name, kind in kinds.items())
    return func.unnest(*arrays).table_valued(*columns).render_derived()
