"""One step of an import, and what its kinds share: what the import brings, its table, its file, its rejected rows."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Table

from kejing.customers.v1 import imports_service_pb2 as pb
from services.customers.api.import_wire import KEYS, to_mapping
from services.customers.api.uploads import csv_dialect
from services.customers.domain.attributes import Attribute
from services.customers.domain.csv_file import CsvFile, Place
from services.customers.domain.mapping import FieldMapping
from services.customers.domain.rows import Cells, Rejection, numbered
from services.customers.storage import applying, import_files, import_runs, staged
from services.shared.db import Database, Write
from services.shared.keyring import Keyring

PIECES = 8
"""Of a file, that are read in one step."""


@dataclass(frozen=True)
class Means:
    """`keyring`: that of files and national ids; `zone`: the business time zone."""

    db: Database
    keyring: Keyring
    zone: ZoneInfo


class Step:
    """Of the locked import `row`. `attributes`: all that are defined."""

    def __init__(self, write: Write, row: Any, attributes: Sequence[Attribute], means: Means) -> None:
        self.write = write
        self.row = row
        self.means = means
        wire = pb.Mapping.FromString(row.mapping)
        self.mapping: FieldMapping = to_mapping(row.kind, wire, attributes)
        self.dialect = csv_dialect(wire, by_record=row.by_record)
        """The file's encoding and delimiter."""
        self.required = [each.key for each in attributes if each.required]
        self.custom = [each for each in attributes if each.key in self.mapping.written]
        """The attributes that it brings; `fields` are all else that it brings."""
        keys = {each.key for each in self.custom}
        self.fields = [name for name in self.mapping.written if name not in keys]
        self.secret = {each.key for each in self.custom if each.encrypted}

    @cached_property
    def table(self) -> Table:
        """Of its rows on their way."""
        row = self.row
        return staged.table_of(
            row.id, row.kind, self.fields, attributes=bool(self.custom), national_ids=bool(self.secret)
        )

    def source(self, ours_of: Mapping[str, Sequence[str]]) -> applying.Source:
        """`ours_of`: by source, the fields of its customers that people change."""
        mine = self.row.source
        elsewhere: dict[str, list[str]] = {}
        for name, fields in ours_of.items():
            for field in fields if name != mine else ():
                elsewhere.setdefault(field, []).append(name)
        return applying.Source(mine, self.mapping.ours, self.mapping.link_by, elsewhere, self.custom, self.required)

    async def pieces(self, start: int, count: int) -> AsyncGenerator[bytes]:
        """Up to `count` pieces of the file from byte `start` on."""
        found = 0
        async with self.means.db.read() as read:
            async for piece in import_files.read(read, self.means.keyring, self.row.id, start):
                yield piece
                found += 1
                if found == count:
                    return

    async def cells(self, lines: Iterable[int]) -> dict[int, Cells]:
        """The cells of these lines, read again from the file."""
        found: dict[int, Cells] = {}
        row, left = self.row, sorted(set(lines))
        while left:
            line, start = await import_files.place_before(self.write.connection, row.id, left[0])
            file, position = CsvFile(*self.dialect, Place(start, 0 if row.by_record else line)), start
            wanted = set(left)
            async for piece in self.pieces(start, PIECES + 2):  # a record may end a piece later
                position += len(piece)
                records = await asyncio.to_thread(file.feed, piece, last=position >= row.bytes)
                records = numbered(records, by_record=row.by_record)
                found.update((at, cells) for at, cells in zip(records.lines, records.rows, strict=True) if at in wanted)
                if left[-1] in found:
                    break
            left = [each for each in left[1:] if each not in found]
        return found

    async def reject(self, name: str, rejections: Sequence[Rejection], cells: Mapping[int, Cells]) -> None:
        """Notes what is wrong with rows; `name`: the step that found it."""
        await import_runs.reject(self.write, self.means.keyring, self.row.id, name, rejections, cells)

    async def supersede(self, name: str, replaced: Sequence[tuple[int, int]]) -> None:
        """Notes rows (line, later line) that a later one replaced."""
        key = " and ".join(map(self.mapping.heading, KEYS[self.row.kind]))
        said = [
            Rejection(line, "", "", f"line {later} has the same {key}; the last one counts") for line, later in replaced
        ]
        await import_runs.reject(self.write, self.means.keyring, self.row.id, name, said, {}, superseded=True)
