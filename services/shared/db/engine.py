"""A service's database: one pool for reads in autocommit, one for transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from sqlalchemy import ExceptionContext, MetaData, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.shared.access.scope import OPTION, finder, guard, guarded_cursor, refuse
from services.shared.access.tables import metadata as access_tables
from services.shared.audit.writing import Doing
from services.shared.clock import Clock
from services.shared.db.hot import HotQuery, HotReads
from services.shared.db.write import UTC_ZONE, Outgoing, Write, claim_request
from services.shared.rpc.caller import caller, current_call, current_method

# Without it the rowcount of an insert is -1, which is true, where nothing was inserted for a conflict.
KEEP_ROWCOUNT = {"preserve_rowcount": True}

MOST_WAITING = 100
"""Commits whose events wait in memory for the relay."""

PLAN_EACH_TIME = {"options": "-c plan_cache_mode=force_custom_plan"}


class Database:
    """`url` as in ServiceSettings.database_url; `clock` gives the moment that a write is stamped with; `tables` are the
    service's own, of which those that are bound to a customer are read and written through a scope only. `zone` is the
    business time zone.
    """

    def __init__(
        self, url: str, clock: Clock, tables: MetaData | None = None, *, pool_size: int = 10, zone: ZoneInfo = UTC_ZONE
    ) -> None:
        self._zone = zone
        known = [*access_tables.tables.values(), *(tables.tables.values() if tables is not None else ())]
        self._find_bound = finder({table.fullname for table in known if table.info.get("customer")})
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "execution_options": KEEP_ROWCOUNT,
            "pool_timeout": 10,
            "hide_parameters": True,  # values may be personal; they must not reach error texts and logs
            "connect_args": {"cursor_factory": guarded_cursor(self._find_bound)},
        }
        self.clock = clock
        self.committed: asyncio.Queue[list[Outgoing]] = asyncio.Queue()
        """The events of each commit, so that the relay of this process publishes them at once."""
        self._writes = create_async_engine(url, **options)
        # A read is one statement as a rule: no begin, no commit, no rollback on return. It is planned for its values
        # each time: a plan for any scope takes every scope for a small one, which is 30 times slower for a large one.
        each_time = {**options, "connect_args": options["connect_args"] | PLAN_EACH_TIME}
        self._reads = create_async_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **each_time)
        for engine in (self._writes, self._reads):
            guard(engine.sync_engine, self._find_bound)
            event.listen(engine.sync_engine, "handle_error", _without_quotes)
            event.listen(engine.sync_engine, "handle_error", self._begin_anew)
        self._hot = HotReads(url)
        self._keys: dict[str, bytes] = {}

    @asynccontextmanager
    async def read(self, *, unscoped: str = "") -> AsyncIterator[AsyncConnection]:
        """A connection in autocommit: each statement sees what is committed when it starts.

        unscoped: why all statements on it may see every customer.
        """
        async with self._reads.connect() as connection:
            yield await _unscoped(connection, unscoped)

    async def one(self, query: HotQuery, **values: Any) -> Any | None:
        """The first row that `query` finds with these values, as a named tuple, or None."""
        if not query.scoped:
            refuse(self._find_bound(query.sql))
        return await self._hot.one(query, values)

    async def all(self, query: HotQuery, **values: Any) -> list[Any]:
        """All rows that `query` finds with these values, as named tuples."""
        if not query.scoped:
            refuse(self._find_bound(query.sql))
        return await self._hot.all(query, values)

    @asynccontextmanager
    async def snapshot(self, *, unscoped: str = "") -> AsyncIterator[AsyncConnection]:
        """A read-only transaction in which all statements see the same moment. `unscoped`: as in read."""
        async with self._writes.connect() as connection, connection.begin():
            await _unscoped(connection, unscoped)
            await connection.execute(text("set transaction isolation level repeatable read, read only"))
            await connection.execute(text("set local plan_cache_mode = force_custom_plan"))
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
            first, known_id = await claim_request(connection, request, caller(), current_method(), result_id, now)
            doing = Doing.of(caller(), current_call.get(), known_id, self._keys) if first else None
            write = Write(connection, now=now, actor=caller().actor, request_id=request.request_id,  # type: ignore[attr-defined]
                          first=first, result_id=known_id, doing=doing, zone=self._zone)  # fmt: skip
            yield write
            await write.flush()
        self._committed(write)

    @asynccontextmanager
    async def transaction(self, *, actor: str = "", request_id: str = "", unscoped: str = "") -> AsyncIterator[Write]:
        """One transaction for what needs no `request_id`: calls that are idempotent by themselves, which the audit
        records; and, with an `actor`, consumers and other loops, whose causes are recorded elsewhere.

        unscoped: why all statements in it may see every customer.
        """
        async with self._writes.connect() as connection, connection.begin():
            await _unscoped(connection, unscoped)
            doing = None if actor else Doing.of(caller(), current_call.get(), None, self._keys)
            write = Write(
                connection, now=self.clock(), actor=actor or caller().actor, request_id=request_id, doing=doing,
                zone=self._zone,
            )  # fmt: skip
            yield write
            await write.flush()
        self._committed(write)

    def _committed(self, write: Write) -> None:
        if write.doing and (call := current_call.get()):
            call.audited = True
        # Bulk work may be faster than the relay: what is left out is found in the outbox, and not held in memory.
        if write.outgoing and self.committed.qsize() < MOST_WAITING:
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


async def _unscoped(connection: AsyncConnection, reason: str) -> AsyncConnection:
    return await connection.execution_options(**{OPTION: f"unscoped: {reason}"}) if reason else connection


def _without_quotes(context: ExceptionContext) -> None:
    """Cuts off where Postgres quotes the row that it refused (DETAIL, CONTEXT): the values may be personal."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].partition("\nDETAIL:")[0].partition("\nCONTEXT:")[0], *error.args[1:])
