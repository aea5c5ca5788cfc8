"""Hot reads: a select that is compiled once and run by psycopg itself.

Through SQLAlchemy's engine a select of one row costs three times as much, most of it in putting the statement together
and in switching greenlets. For what is read on every other call; everything else reads better through Database.read.
"""

from typing import Any

from psycopg import OperationalError
from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import dialect

MOST_CONNECTIONS = 5
PATIENCE_SECONDS = 3
"""How long a read waits for a connection."""


class HotQuery:
    """`statement`: a select whose values are all bindparams; they are given by name when it is run."""

    def __init__(self, statement: Select[Any]) -> None:
        self.sql = str(statement.compile(dialect=dialect()))


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
            kwargs={"autocommit": True, "row_factory": namedtuple_row},
        )
        self._open = False

    async def one(self, query: HotQuery, values: dict[str, Any]) -> Any | None:
        """The first row as a named tuple, or None. Raises psycopg.OperationalError while Postgres is away."""
        if not self._open:
            self._open = True
            await self._pool.open()
        try:
            return await self._first(query, values)
        except PoolTimeout:
            raise
        except OperationalError:  # where one connection is dead, most likely all are
            await self._pool.check()
            return await self._first(query, values)

    async def _first(self, query: HotQuery, values: dict[str, Any]) -> Any | None:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.sql.encode(), values)).fetchone()

    async def close(self) -> None:
        await self._pool.close()
