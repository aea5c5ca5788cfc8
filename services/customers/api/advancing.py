"""Imports get on: step by step, each in one transaction with the note of how far it came.

READ puts the file's good rows into a table of their own, SETTLE takes out of it what can't go in or is said again
later in the file, APPLY brings the rest into customers, chunk by chunk. Whoever dies leaves one step undone at most.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.events_pb2 import CustomerTouch, TouchKind
from services.customers.api.changes import follow, follow_new
from services.customers.api.churn import ends_moved
from services.customers.api.happened import happened, touched
from services.customers.api.happened import tell as tell_touches
from services.customers.api.import_wire import KEYS, tell, to_mapping
from services.customers.api.uploads import csv_dialect
from services.customers.domain.csv_file import CsvFile, Place
from services.customers.domain.rows import Batch, Cells, Rejection, RowReader, numbered
from services.customers.storage import (
    applying,
    applying_people,
    attributes,
    import_files,
    import_runs,
    staged,
    staged_ids,
)
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.staged import Chunk
from services.shared.clock import business_date
from services.shared.db import Database, Write
from services.shared.errors import InvalidArgument, NotFound
from services.shared.keyring import Keyring
from services.shared.logging import get_logger
from services.shared.rpc.caller import caller

PART_SECONDS = 2.0
"""A call of AdvanceImport begins no step after so long."""
PIECES = 4
"""Of a file, that are read in one step."""
ERASED = "the customer's personal data were erased on request; its contacts are not taken in again"
"""Of such rows nothing is kept, not even for the file of rejected rows."""
EVERYBODY = "an import concerns every customer"


class Advancing:
    """`keyring`: that of files and national ids; `zone`: the business time zone."""

    def __init__(self, db: Database, keyring: Keyring, zone: ZoneInfo) -> None:
        self._db = db
        self._keyring = keyring
        self._zone = zone

    async def advance(self, import_id: UUID) -> Any:
        """Does the next steps of an import, for some seconds; answers its row. Raises NotFound."""
        began = time.monotonic()
        while True:
            row = await self._step(import_id)
            if row.state != "RUNNING" or time.monotonic() - began > PART_SECONDS:
                return row

    async def _step(self, import_id: UUID) -> Any:
        began = time.monotonic()
        try:
            async with self._db.transaction(actor=caller().actor, unscoped=EVERYBODY) as write:
                row = await import_runs.lock(write, import_id)
                if row is None:
                    raise NotFound("import", import_id)
                if row.state != "RUNNING":
                    return row
                write.actor = row.created_by
                return await _Step(write, row, self).run(began)
        except InvalidArgument as error:
            async with self._db.transaction(actor=caller().actor, unscoped=EVERYBODY) as write:
                row = await import_runs.lock(write, import_id)
                if row is None or row.state != "RUNNING":
                    return row
                write.actor = row.created_by
                return await end(write, row, "FAILED", failure=error.message)

    @property
    def parts(self) -> tuple[Database, Keyring, ZoneInfo]:
        return self._db, self._keyring, self._zone


async def end(write: Write, row: Any, state: str, **values: Any) -> Any:
    """Ends a locked import: what was only needed on its way goes."""
    await staged.drop(write, staged.table_of(row.id, row.kind, []))
    await import_files.forget(write, row.id)
    await import_runs.forget_old(write, write.now)
    ended = await import_runs.change(write, row.id, state=state, version=row.version + 1, ended_at=write.now, **values)
    tell(write, ended)
    get_logger().info("import ended", import_id=str(row.id), source=row.source, state=state, read=ended.rows_read,
                      created=ended.created, updated=ended.updated, rejected=ended.rejected)  # fmt: skip
    return ended


class _Step:
    """One step of a locked import."""

    def __init__(self, write: Write, row: Any, of: Advancing) -> None:
        self._write = write
        self._row = row
        self._db, self._keyring, self._zone = of.parts

    async def run(self, began: float) -> Any:
        """Answers the import's row after the step. Raises InvalidArgument where the file can't be read."""
        write, row = self._write, self._row
        custom = await attributes.definitions(write.connection)
        self._wire = pb.Mapping.FromString(row.mapping)
        self._mapping = to_mapping(row.kind, self._wire, custom)
        self._required = [each.key for each in custom if each.required]
        self._custom = [each for each in custom if each.key in self._mapping.written]
        keys = {each.key for each in self._custom}
        self._fields = [name for name in self._mapping.written if name not in keys]
        self._secret = {each.key for each in self._custom if each.encrypted}
        self._table = staged.table_of(
            row.id, row.kind, self._fields, attributes=bool(keys), national_ids=bool(self._secret)
        )
        lost = row.staged and not await staged.is_there(write.connection, self._table)
        steps = {"READ": self._read, "SETTLE": self._settle, "APPLY": self._apply}
        changes: dict[str, Any] | None = await (self._begin_anew if lost else steps[row.step])()
        worked = row.worked_seconds + time.monotonic() - began
        if changes is None:
            return await end(write, row, "DONE", worked_seconds=worked)
        return await import_runs.change(write, row.id, worked_seconds=worked, **changes)

    async def _begin_anew(self) -> dict[str, Any]:
        """A crash of Postgres has emptied the table: the file is read again, and what went in stays in."""
        await import_runs.forget_rejected(self._write, self._row.id, ["READ", "SETTLE"])
        rejected, superseded = await import_runs.count_rejected(self._write, self._row.id)
        return {"step": "READ", "bytes_read": 0, "lines_read": 0, "rows_read": 0, "staged": 0, "rejected": rejected,
                "superseded": superseded}  # fmt: skip

    async def _read(self) -> dict[str, Any]:
        row, write = self._row, self._write
        if not row.bytes_read:
            await staged.make(write, self._table)
        encoding, delimiter = csv_dialect(self._wire, by_record=row.by_record)
        file = CsvFile(encoding, delimiter, Place(row.bytes_read, row.lines_read))
        reader = RowReader(self._mapping, row.header)
        pieces = [piece async for piece in self._pieces(row.bytes_read, PIECES)]
        end_of_pieces = row.bytes_read + sum(map(len, pieces))
        rejections: list[Rejection] = []
        cells: dict[int, Cells] = {}
        rows_read = kept = first_line = 0
        async with staged.copying(write, self._table) as copy:
            for number, piece in enumerate(pieces):
                last = number == len(pieces) - 1 and end_of_pieces >= row.bytes
                batch, count, text = await asyncio.to_thread(self._parsed, file, reader, piece, last=last)
                first_line = first_line or min([*batch.lines[:1], *batch.rejected], default=0)
                rows_read, kept = rows_read + count, kept + len(batch.lines)
                rejections += batch.rejections
                cells.update(batch.rejected)
                if text:
                    await copy.write(text)
        # What is read again for its cells must count its lines from here.
        line = first_line - 1 if row.by_record else row.lines_read
        await import_files.note_place(write, row.id, line, row.bytes_read)
        await import_runs.reject(write, self._keyring, row.id, "READ", rejections, cells)
        if file.place.offset == row.bytes_read and end_of_pieces < row.bytes:
            raise InvalidArgument("data", f"line {row.lines_read + 1}", "a record is larger than 4 MiB", "FILE_BROKEN")
        return {
            "step": "READ" if file.place.offset < row.bytes else "SETTLE",
            "bytes_read": file.place.offset,
            "lines_read": file.place.line,
            "rows_read": row.rows_read + rows_read,
            "staged": row.staged + kept,
            "rejected": row.rejected + len(cells),
        }

    def _parsed(self, file: CsvFile, reader: RowReader, piece: bytes, *, last: bool) -> tuple[Batch, int, str]:
        """The piece's rows, how many there are, and the good ones as COPY takes them."""
        begins = file.place.offset == 0
        records = numbered(file.feed(piece, last=last), by_record=self._row.by_record)
        if begins and records.rows:  # the heading
            records = type(records)(records.lines[1:], records.rows[1:])
        batch = reader.read(records)
        columns: list[Sequence[Any]] = [batch.lines, *(batch.values[name] for name in self._fields)]
        if self._custom:
            columns += self._documents(batch)
        return batch, len(records.rows), staged.lines_of(columns) if batch.lines else ""

    def _documents(self, batch: Batch) -> list[list[str]]:
        """The custom attributes of rows, with national ids masked; and these, sealed, where there are some."""
        shown: dict[str, Sequence[str | None]] = {each.key: batch.values[each.key] for each in self._custom}
        sealed: list[dict[str, object]] = [{} for _ in batch.lines] if self._secret else []
        for key in self._secret:
            found = [staged_ids.sealed(self._keyring, key, cell) for cell in batch.values[key]]
            shown[key] = [mask for mask, _ in found]
            for row, (_, token) in zip(sealed, found, strict=True):
                row[key] = token
        return [staged.documents(shown), *([list(map(json.dumps, sealed))] if self._secret else [])]

    async def _pieces(self, start: int, count: int) -> Any:
        found = 0
        async with self._db.read() as read:
            async for piece in import_files.read(read, self._keyring, self._row.id, start):
                yield piece
                found += 1
                if found == count:
                    return

    async def _settle(self) -> dict[str, Any]:
        row, write, mapping, table = self._row, self._write, self._mapping, self._table.fullname
        rejections: list[Rejection] = []
        if "customer_external_id" in mapping.fields:
            found = await applying_people.remove_unknown_customers(write, table, row.source)
            rejections += self._rejections("customer_external_id", "no customer has this external id", found)
        erased: list[Rejection] = []
        if row.kind == "CONTACTS":
            found = await applying_people.remove_erased(write, table, row.source)
            erased = self._rejections("customer_external_id", ERASED, found)
        if "login" in mapping.fields:
            found = await applying_people.remove_unknown_logins(write, table)
            rejections += self._rejections("login", "no active employee has this login", found)
        if {"valid_from", "valid_to"} <= {*self._fields}:
            found = await applying_people.remove_backward_periods(write, table)
            rejections += self._rejections("valid_to", "the period ends before it begins", found)
        rejections.sort(key=lambda rejection: rejection.line)
        cells = await self._cells([rejection.line for rejection in rejections])
        rejections = sorted([*rejections, *erased], key=lambda rejection: rejection.line)
        await import_runs.reject(write, self._keyring, row.id, "SETTLE", rejections, cells)
        replaced = await staged.supersede(write, self._table, KEYS[row.kind])
        await self._supersede("SETTLE", replaced)
        await staged.settle(write, self._table)
        if row.kind == "CUSTOMERS":
            again = await applying.supersede_linked(write, self._table, self._source({}))
            await self._supersede("SETTLE", again)
            replaced += again
        await import_runs.note_source(write, row.source, row.kind, mapping.ours)
        return {
            "step": "APPLY",
            "staged": row.staged - len(rejections) - len(replaced),
            "rejected": row.rejected + len(rejections),
            "superseded": row.superseded + len(replaced),
        }

    def _rejections(self, field: str, reason: str, found: Iterable[tuple[int, str]]) -> list[Rejection]:
        return [Rejection(line, self._mapping.heading(field), value, reason) for line, value in found]

    async def _supersede(self, step: str, replaced: Sequence[tuple[int, int]]) -> None:
        key = " and ".join(map(self._mapping.heading, KEYS[self._row.kind]))
        said = [
            Rejection(line, "", "", f"line {later} has the same {key}; the last one counts") for line, later in replaced
        ]
        await import_runs.reject(self._write, self._keyring, self._row.id, step, said, {}, superseded=True)

    async def _cells(self, lines: Iterable[int]) -> dict[int, Cells]:
        """The cells of these lines, read again from the file."""
        found: dict[int, Cells] = {}
        row, left = self._row, sorted(set(lines))
        encoding, delimiter = csv_dialect(self._wire, by_record=row.by_record)
        while left:
            line, start = await import_files.place_before(self._write.connection, row.id, left[0])
            file, position = CsvFile(encoding, delimiter, Place(start, 0 if row.by_record else line)), start
            wanted = set(left)
            async for piece in self._pieces(start, PIECES + 2):
                position += len(piece)
                records = await asyncio.to_thread(file.feed, piece, last=position >= row.bytes)
                records = numbered(records, by_record=row.by_record)
                found.update((at, cells) for at, cells in zip(records.lines, records.rows, strict=True) if at in wanted)
                if left[-1] in found:
                    break
            left = [each for each in left[1:] if each not in found]
        return found

    async def _apply(self) -> dict[str, Any] | None:
        row, write = self._row, self._write
        chunk = await staged.next_chunk(write.connection, self._table, row.applied_line)
        if chunk is None:
            return None
        await one_at_a_time(write)
        apply = {"CUSTOMERS": self._apply_customers, "CONTACTS": self._apply_contacts, "OWNERS": self._apply_owners}
        created, updated, rejections, replaced = await apply[row.kind](chunk)
        await import_runs.reject(
            write, self._keyring, row.id, "APPLY", rejections, await self._cells(each.line for each in rejections)
        )
        await self._supersede("APPLY", replaced)
        others = created + updated + len(rejections) + len(replaced)
        return {
            "applied_line": chunk.last,
            "created": row.created + created,
            "updated": row.updated + updated,
            "unchanged": row.unchanged + chunk.size - others,
            "rejected": row.rejected + len(rejections),
            "superseded": row.superseded + len(replaced),
        }

    def _source(self, ours_of: Mapping[str, Sequence[str]]) -> applying.Source:
        mine = self._row.source
        elsewhere: dict[str, list[str]] = {}
        for name, fields in ours_of.items():
            for field in fields if name != mine else ():
                elsewhere.setdefault(field, []).append(name)
        return applying.Source(mine, self._mapping.ours, self._mapping.link_by, elsewhere, self._custom, self._required)

    async def _apply_customers(self, chunk: Chunk) -> "Done":
        write, source = self._write, self._source(await import_runs.ours_of_sources(self._write.connection))
        fields = [*self._fields, *(["attributes"] if self._custom else [])]
        headings = {name: self._mapping.heading(name) for name in self._fields}
        today = business_date(write.now, self._zone)
        applied = await applying.apply_customers(write, chunk, fields, source, headings, today)
        await follow(write, list(applied.changed))
        await follow_new(write, applied.created)
        touched(write, [row.id for row in applied.created], TouchKind.TOUCH_KIND_CREATED)
        changed = [
            CustomerTouch(customer_id=str(customer_id), kind=TouchKind.TOUCH_KIND_CHANGED, fields=sorted(fields))
            for customer_id, fields in applied.changed.items()
        ]
        tell_touches(write, changed)
        moved = [customer_id for customer_id, fields in applied.changed.items() if "last_contract_end" in fields]
        await ends_moved(write, moved, self._zone)
        return len(applied.created), len(applied.changed), applied.rejections, applied.superseded

    async def _apply_contacts(self, chunk: Chunk) -> "Done":
        write, row = self._write, self._row
        created, changed = await applying_people.apply_contacts(
            write, chunk, self._fields, row.source, self._mapping.ours
        )
        touches = [(customer_id, contact_id, ()) for customer_id, contact_id in created] + changed
        kind = TouchKind.TOUCH_KIND_CONTACT_CHANGED
        tell_touches(
            write,
            [CustomerTouch(customer_id=str(one), kind=kind, object=str(contact)) for one, contact, _ in touches],
        )
        return len(created), len(changed), [], []

    async def _apply_owners(self, chunk: Chunk) -> "Done":
        write = self._write
        entries = await applying_people.apply_owners(write, chunk, self._fields, self._row.source)
        await happened(write, entries)
        await follow(write, sorted({entry.customer_id for entry in entries}))
        created = sum(not entry.changes[0].before for entry in entries)
        return created, len(entries) - created, [], []


Done = tuple[int, int, Sequence[Rejection], Sequence[tuple[int, int]]]
"""How many were created and updated; rejected rows; rows that a later one replaced."""
