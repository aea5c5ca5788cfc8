"""Hot reads: a select that is compiled once and run by psycopg itself.

Through SQLAlchemy's engine a select of one row costs three times as much, most of it in putting the statement together
and in switching greenlets. For what is read on every other call; everything else reads better through Database.read.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import namedtuple_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select, TextClause
from sqlalchemy.dialects.postgresql.psycopg import dialect

from services.shared.access.scope import is_marked

MOST_CONNECTIONS = 5
PLAN_ONCE = {"options": "-c plan_cache_mode=force_generic_plan -c enable_memoize=off"}
"""To remember rows, of which a page asks for each once, takes longer than to look them up."""
PATIENCE_SECONDS = 3
"""How long a read waits for a connection."""


class HotQuery:
    """`statement`: a select whose values are bindparams; they are given by name when it is run. On tables that are
    bound to a customer it is built through a scope, or `unscoped` (see services.shared.access.scope).
    """

    def __init__(self, statement: Select[Any] | TextClause) -> None:
        self.scoped = is_marked(statement)
        compiled = statement.compile(dialect=dialect())
        self.sql = str(compiled)
        self.encoded = self.sql.encode()
        self.fixed = {name: value for name, value in compiled.params.items() if value is not None}
        """The values that the statement has by itself."""


class HotReads:
    """A pool of connections in autocommit, opened when it is first used. `url` as in ServiceSettings.database_url."""

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(
            url.replace("postgresql+psycopg://", "postgresql://"),
            min_size=1,
            max_size=MOST_CONNECTIONS,
            open=False,
            timeout=PATIENCE_SECONDS,
            # By default the pool tries for minutes, after longer and longer pauses, so that reads are still refused
            # when Postgres is back long since. Here the next read begins anew.
            reconnect_timeout=PATIENCE_SECONDS,
            # Prepared at once, and planned once for all values. Otherwise each connection plans the first ten runs of
            # each statement anew, which takes longer than many a read: lists are dozens of statements.
            configure=_configure,
            kwargs={"autocommit": True, "row_factory": namedtuple_row, "prepare_threshold": 0} | PLAN_ONCE,
        )
        self._open = False

    async def one(self, query: HotQuery, values: dict[str, Any]) -> Any | None:
        """The first row as a named tuple, or None. Raises psycopg.OperationalError while Postgres is away."""
        return await self._asked(self._one, query, values)

    async def all(self, query: HotQuery, values: dict[str, Any]) -> list[Any]:
        """All rows as named tuples. Raises as `one`."""
        return await self._asked(self._all, query, values)  # type: ignore[no-any-return]

    async def _asked(self, ask: Callable[..., Awaitable[Any]], query: HotQuery, values: dict[str, Any]) -> Any:
        if not self._open:
            self._open = True
            await self._pool.open()
        try:
            return await ask(query, values)
        except PoolTimeout:
            raise
        except OperationalError:  # where one connection is dead, most likely all are
            await self._pool.check()
            return await ask(query, values)

    async def _one(self, query: HotQuery, values: dict[str, Any]) -> Any | None:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.encoded, {**query.fixed, **values})).fetchone()

    async def _all(self, query: HotQuery, values: dict[str, Any]) -> list[Any]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.encoded, {**query.fixed, **values})).fetchall()

    async def close(self) -> None:
        await self._pool.close()


async def _configure(connection: AsyncConnection[Any]) -> None:
    set_json_loads(orjson.loads, connection)  # faster than json, on every row of every list
