"""A service's database: one pool for reads in autocommit, one for transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import ExceptionContext, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.shared.clock import Clock
from services.shared.db.hot import HotQuery, HotReads
from services.shared.db.write import Outgoing, Write, claim_request
from services.shared.rpc.caller import caller, current_method

# Without it the rowcount of an insert is -1, which is true, where nothing was inserted for a conflict.
KEEP_ROWCOUNT = {"preserve_rowcount": True}


class Database:
    """`url` as in ServiceSettings.database_url; `clock` gives the moment that a write is stamped with."""

    def __init__(self, url: str, clock: Clock, *, pool_size: int = 10) -> None:
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "execution_options": KEEP_ROWCOUNT,
            "pool_timeout": 10,
            "hide_parameters": True,  # values may be personal; they must not reach error texts and logs
        }
        self.clock = clock
        self.committed: asyncio.Queue[list[Outgoing]] = asyncio.Queue()
        """The events of each commit, so that the relay of this process publishes them at once."""
        self._writes = create_async_engine(url, **options)
        # A read is one statement as a rule: no begin, no commit, no rollback on return.
        self._reads = create_async_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **options)
        for engine in (self._writes, self._reads):
            event.listen(engine.sync_engine, "handle_error", _without_quotes)
            event.listen(engine.sync_engine, "handle_error", self._begin_anew)
        self._hot = HotReads(url)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in autocommit: each statement sees what is committed when it starts."""
        async with self._reads.connect() as connection:
            yield connection

    async def one(self, query: HotQuery, **values: Any) -> Any | None:
        """The first row that `query` finds with these values, as a named tuple, or None."""
        return await self._hot.one(query, values)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction in which all statements see the same moment."""
        async with self._writes.connect() as connection, connection.begin():
            await connection.execute(text("set transaction isolation level repeatable read, read only"))
            yield connection

    @asynccontextmanager
    async def write(self, request: Message, *, result_id: UUID | None = None) -> AsyncIterator[Write]:
        """One transaction for a call that carries a `request_id`.

        `write.first` is False where the same caller sent the same request before: then nothing must be written, and the
        answer is read again from `write.result_id`, which is the id that the first call got (`result_id`, or a new
        UUIDv7 for what the call creates). Events are committed with the rest.

        Raises AlreadyExists (REQUEST_ID_REUSED) when the id came before with another body.
        """
        async with self._writes.connect() as connection, connection.begin():
            now = self.clock()
            first, known_id = await claim_request(connection, request, caller(), current_method.get(), result_id, now)
            write = Write(connection, now=now, actor=caller().actor, request_id=request.request_id,  # type: ignore[attr-defined]
                          first=first, result_id=known_id)  # fmt: skip
            yield write
            await write.flush()
        if write.outgoing:
            self.committed.put_nowait(write.outgoing)

    @asynccontextmanager
    async def transaction(self, *, actor: str = "", request_id: str = "") -> AsyncIterator[Write]:
        """One transaction for what needs no `request_id`: consumers, and calls that are idempotent by themselves."""
        async with self._writes.connect() as connection, connection.begin():
            write = Write(connection, now=self.clock(), actor=actor or caller().actor, request_id=request_id)
            yield write
            await write.flush()
        if write.outgoing:
            self.committed.put_nowait(write.outgoing)

    def _begin_anew(self, context: ExceptionContext) -> None:
        """Where one pool finds that Postgres has ended, the other's connections are dead as well."""
        if context.is_disconnect:
            for engine in (self._writes.sync_engine, self._reads.sync_engine):
                if engine is not context.engine:
                    engine.dispose(close=False)

    async def close(self) -> None:
        await self._writes.dispose()
        await self._reads.dispose()
        await self._hot.close()


def _without_quotes(context: ExceptionContext) -> None:
    """Cuts off where Postgres quotes the row that it refused (DETAIL, CONTEXT): the values may be personal."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].partition("\nDETAIL:")[0].partition("\nCONTEXT:")[0], *error.args[1:])
