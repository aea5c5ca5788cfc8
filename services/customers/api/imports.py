"""A file comes in: read row by row, staged, and applied in chunks once all of it has arrived and is in order."""

import io
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import IO, Any

from kejing.customers.v1 import import_pb2
from services.customers.api.wire import emit_changed
from services.customers.domain.csv_file import Rejection, Row, read_rows
from services.customers.domain.fields import ISO_DATE, Field
from services.customers.domain.mapping import Column, FieldMapping
from services.customers.storage import staging
from services.customers.storage.imports import Applied, one_at_a_time
from services.customers.storage.staging import Chunk
from services.shared.db import Database, Write
from services.shared.errors import InvalidArgument
from services.shared.ids import new_id
from services.shared.logging import get_logger

IN_MEMORY = 4 * 1024 * 1024
KEY_SEPARATOR = "\x1f"  # no cell holds it: control characters are refused
ENCODINGS = {"": "utf-8-sig", "utf-8": "utf-8-sig", "gb18030": "gb18030"}

Apply = Callable[[Write, Chunk, list[str]], Awaitable[Applied]]
"""Applies a chunk of rows that bring the given fields."""


async def opened(requests: AsyncIterator[Any]) -> tuple[import_pb2.ImportStart, AsyncIterator[bytes]]:
    """The start of an upload, and the file's pieces. Raises InvalidArgument (START_MISSING)."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "start":
        raise InvalidArgument("start", "", "the first message must say what the file's columns mean", "START_MISSING")

    async def pieces() -> AsyncIterator[bytes]:
        async for request in requests:
            if request.WhichOneof("part") == "start":
                raise InvalidArgument("start", "given twice", "only the first message may hold it", "START_TWICE")
            yield request.data

    return first.start, pieces()


class Import:
    """One file on its way. `fields` says what a row may hold, `apply` what becomes of a chunk of rows.

    Raises InvalidArgument (MAPPING_WRONG) where the mapping can't be right.
    """

    def __init__(self, db: Database, start: import_pb2.ImportStart, fields: Mapping[str, Field], apply: Apply) -> None:
        columns = {
            name: Column(column.column, column.format or ISO_DATE, dict(column.values), column.default)
            for name, column in start.mapping.columns.items()
        }
        self._mapping = FieldMapping(fields, columns, dict(start.mapping.constants), list(start.mapping.ignore))
        self._db = db
        self._start = start
        self._apply = apply
        self._id = new_id()
        self._result = import_pb2.ImportResult()
        self._rejections: list[Rejection] = []

    async def run(self, pieces: AsyncIterator[bytes]) -> import_pb2.ImportResult:
        """Takes the file in. Raises InvalidArgument: see read_rows; then nothing was written."""
        try:
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as spool:
                async for piece in pieces:
                    spool.write(piece)
                spool.seek(0)
                await self._stage(spool)
            await self._remove_unfit()
            await self._apply_chunks()
        finally:
            async with self._transaction() as write:
                await staging.forget(write, self._id)
        result = self._result
        rejections = sorted(self._rejections, key=lambda rejection: rejection.line)[: staging.REPORTED]
        result.rejected_rows.extend(
            import_pb2.RejectedRow(line=r.line, column=r.column, value=r.value[:200], reason=r.reason)
            for r in rejections
        )
        get_logger().info("imported", source=self._start.source, read=result.rows_read, created=result.created,
                          updated=result.updated, rejected=result.rejected)  # fmt: skip
        return result

    def _transaction(self) -> AbstractAsyncContextManager[Write]:
        return self._db.transaction(request_id=self._start.request_id, unscoped="an import concerns every customer")

    async def _stage(self, spool: IO[bytes]) -> None:
        text = io.TextIOWrapper(spool, encoding=ENCODINGS[self._start.mapping.encoding], newline="")
        rows = read_rows(text, self._mapping)
        while part := list(islice(rows, staging.CHUNK_ROWS)):
            good = [(self._key(row), row) for row in part if isinstance(row, Row)]
            self._result.rows_read += len(part)
            self._result.rejected += len(part) - len(good)
            if len(self._rejections) < staging.REPORTED:
                self._rejections += [wrong for row in part if not isinstance(row, Row) for wrong in row]
            if good:
                async with self._transaction() as write:
                    await staging.add(write, self._id, good)

    async def _remove_unfit(self) -> None:
        """Leaves only rows whose customer and employee are known, and the last one of each key."""
        fields = self._mapping.fields
        async with self._transaction() as write:
            if "customer_external_id" in fields:
                removed = await staging.remove_unknown_customers(write, self._id)
                self._reject("customer_external_id", "no customer has this external id", *removed)
            if "login" in fields:
                removed = await staging.remove_unknown_logins(write, self._id)
                self._reject("login", "no active employee has this login", *removed)
            if {"valid_from", "valid_to"} <= fields.keys():
                removed = await staging.remove_backward_periods(write, self._id)
                self._reject("valid_to", "the period ends before it begins", *removed)
            self._result.superseded, replaced = await staging.supersede(write, self._id)
        key = " and ".join(self._heading(field.name) for field in fields.values() if field.key)
        self._rejections += [
            Rejection(line, "", "", f"line {later} has the same {key}; the last one counts") for line, later in replaced
        ]

    def _reject(self, field: str, reason: str, count: int, first: Iterable[tuple[int, str]]) -> None:
        self._result.rejected += count
        self._rejections += [Rejection(line, self._heading(field), value, reason) for line, value in first]

    async def _apply_chunks(self) -> None:
        after = 0
        while True:
            async with self._transaction() as write:
                chunk = await staging.next_chunk(write.connection, self._id, after)
                if chunk is None:
                    return
                await one_at_a_time(write)
                applied = await self._apply(write, chunk, self._mapping.written)
                await emit_changed(write, applied.customer_ids)
            after = chunk.last
            self._result.created += applied.created
            self._result.updated += applied.updated
            self._result.unchanged += chunk.size - applied.created - applied.updated

    def _key(self, row: Row) -> str:
        return KEY_SEPARATOR.join(str(row.values[field.name]) for field in self._mapping.fields.values() if field.key)

    def _heading(self, field: str) -> str:
        """The column that brings the field, or the field's name where it is a constant."""
        columns = self._mapping.columns
        return columns[field].heading if field in columns else field
