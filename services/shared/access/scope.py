"""Scope: which customers a call sees, put into every statement on a table that is bound to a customer.

Such a table says so in its metadata: Table(..., info={"customer": <column with the customer's id>}). A statement on it
is either built through Scope.limit or Scope.whole, or says by `unscoped` why it needs none; an engine hook refuses
all others at run time, those in plain SQL too.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Any, TypeVar
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.sql import Composable
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    Engine,
    Executable,
    Select,
    Uuid,
    any_,
    bindparam,
    event,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.shared.access.ids import IdArray, Ids
from services.shared.access.tables import customer_access

FEW_EMPLOYEES = 5
"""Up to so many owners a broad list begins with their customers; beyond, it walks its own order and looks each one up.
"""
OPTION = "kejing_scope"
OWN_SCHEMA = "public"
LONGEST_REMEMBERED = 10_000
"""Characters; longer statements, as those that insert many rows, are looked through anew."""

_NOT_SQL = r"""(?<!\w)e'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|%\(\w+\)s"""
_DOLLARS = re.compile(r"\$\w*\$")

Statement = TypeVar("Statement", bound=Executable)


class UnscopedStatement(Exception):
    """A statement on a table that is bound to a customer was not built through a scope."""


@dataclass(frozen=True)
class Scope:
    """Everything, or the customers that one of `employees` owns on the business date `today`."""

    everything: bool = False
    employees: tuple[UUID, ...] = ()
    today: date = date.min

    def holds(self, customer_id: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether the customer is in scope. A scalar sub-select on purpose: an EXISTS may be turned into a join, which
        makes a page of a sorted list read everything.
        """
        if self.everything:
            return literal(True)
        owned = select(literal(True, Boolean)).where(customer_access.c.customer_id == customer_id, *self._owned())
        return owned.correlate_except(customer_access).limit(1).scalar_subquery()

    def limit(self, statement: Statement, customer_id: ColumnElement[Any], *, broad: bool = False) -> Statement:
        """`statement` (select, update or delete) on customers in scope only.

        broad: it reads much of its table in an order of its own, not just what belongs to one customer or employee.
        """
        if broad and len(self.employees) <= FEW_EMPLOYEES:
            return self.gather(statement, customer_id)
        if not self.everything:
            statement = statement.where(self.holds(customer_id))  # type: ignore[attr-defined]
        return _marked(statement, "scope")

    def gather(self, statement: Statement, customer_id: ColumnElement[Any]) -> Statement:
        """`statement`, which begins with the customers in scope, however many they are, and reads what is theirs."""
        if not self.everything:
            mine = select(customer_access.c.customer_id).where(*self._owned()).distinct().scalar_subquery()
            statement = statement.where(customer_id == any_(func.array(mine, type_=ARRAY(Uuid))))  # type: ignore[attr-defined]
        return _marked(statement, "scope")

    def whole(self, statement: Select[Any], customer_id: ColumnElement[Any]) -> Select[Any]:
        """`statement`, which reads all rows in scope (counts, sums), limited by a join that the planner chooses."""
        if not self.everything:
            statement = statement.where(customer_id.in_(select(customer_access.c.customer_id).where(*self._owned())))
        return _marked(statement, "scope")

    @cached_property
    def values(self) -> dict[str, Any]:
        """What a HotQuery that was built through LATER needs to be told."""
        return {"employees": self._ids, "today": self.today}

    @cached_property
    def _ids(self) -> Ids:
        """Packed once: hundreds of ids are not to be translated anew for each call."""
        return Ids.of(self.employees)

    def _owned(self) -> tuple[ColumnElement[bool], ...]:
        return _owned_by(bindparam(None, self._ids, IdArray()), self.today)


class _Later(Scope):
    def _owned(self) -> tuple[ColumnElement[bool], ...]:
        return _owned_by(bindparam("employees", type_=IdArray()), bindparam("today", type_=Date))


def _owned_by(employees: Any, today: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        customer_access.c.employee_id == any_(employees),
        customer_access.c.valid_from <= today,
        customer_access.c.valid_to >= today,
    )


EVERYTHING = Scope(everything=True)
LATER = _Later()
"""For a HotQuery: the scope, one with employees, that the query is told when it is run (Scope.values)."""


@dataclass(frozen=True)
class Grant:
    """What a caller may: numbers of kejing.common.v1.Permission, and for which customers."""

    permissions: frozenset[int]
    scope: Scope


def unscoped(statement: Statement, reason: str) -> Statement:
    """`statement` as it is; `reason` says why it needs no scope, e.g. that its row was read in scope just before."""
    if not reason:
        raise ValueError("say why the statement needs no scope")
    return _marked(statement, f"unscoped: {reason}")


def is_marked(statement: Executable) -> bool:
    return OPTION in statement.get_execution_options()


def finder(tables: Collection[str]) -> Callable[[str], frozenset[str]]:
    """Answers which of these tables ("name", or "schema.name" where it isn't the service's own) a statement names.

    Literals, comments, parameters, qualified columns and "as <name>" name no table. A column that stands alone and is
    called like a table counts as one.
    """
    if not tables:
        return lambda _sql: frozenset()
    bound = {table if "." in table else f"{OWN_SCHEMA}.{table}" for table in tables}
    plain = {table.partition(".")[2] for table in bound}
    names = "|".join(sorted(map(re.escape, plain), key=len, reverse=True))
    naming = rf"""(?:(?P<schema>\b\w+\b|"[^"]*")\s*\.\s*)?(?P<name>"(?:{names})"|\b(?:{names})\b)(?!\s*\.)"""
    everywhere = re.compile(naming, re.IGNORECASE)
    outside = re.compile(rf'{_NOT_SQL}|\bas\s+(?:{names})\b|{naming}|"[^"]*"', re.IGNORECASE | re.DOTALL)

    def find(sql: str) -> frozenset[str]:
        lowered = sql.lower()
        if not any(name in lowered for name in plain):  # far cheaper, and most often so
            return frozenset()
        found = set()
        # What stands between dollars is run as well, by "do", and may hold half a literal.
        for match in (everywhere if _DOLLARS.search(sql) else outside).finditer(sql):
            if match["name"]:
                name, schema = (_folded(match[part]) for part in ("name", "schema"))
                if f"{schema}.{name}" in bound or (not schema and name in plain):
                    found.add(name)
        return frozenset(found)

    remembered = lru_cache(maxsize=4096)(find)
    return lambda sql: remembered(sql) if len(sql) <= LONGEST_REMEMBERED else find(sql)


def guard(engine: Engine, find: Callable[[str], frozenset[str]]) -> None:
    """Lets `engine` refuse every statement on one of the tables that `find` finds and that nobody scoped.

    Raises, when such a statement runs: UnscopedStatement.
    """

    def check(_conn: Any, _cursor: Any, sql: str, _parameters: Any, context: Any, _many: bool) -> None:
        if OPTION not in context.execution_options:
            refuse(find(sql))

    event.listen(engine, "before_cursor_execute", check)


def guarded_cursor(find: Callable[[str], frozenset[str]]) -> type[AsyncCursor[Any]]:
    """The driver's cursor, whose COPY passes by the engine's hook: it is refused on the tables that `find` finds."""

    class Cursor(AsyncCursor[Any]):
        def copy(self, statement: Any, *args: Any, **more: Any) -> Any:
            composed = statement.as_string(self) if isinstance(statement, Composable) else statement
            refuse(find(composed.decode() if isinstance(composed, bytes) else composed))
            return super().copy(statement, *args, **more)

    return Cursor


def refuse(tables: Collection[str]) -> None:
    """Raises UnscopedStatement where there are any."""
    if tables:
        raise UnscopedStatement(
            f"a statement on {', '.join(sorted(tables))} was built without a scope; use Scope.limit, Scope.whole "
            "or unscoped(statement, reason)"
        )


def _folded(word: str | None) -> str:
    """An identifier as Postgres understands it."""
    return word[1:-1] if word and word.startswith('"') else (word or "").lower()


def _marked(statement: Statement, how: str) -> Statement:
    marked: Statement = statement.execution_options(**{OPTION: how})
    return marked
