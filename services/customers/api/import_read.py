"""READ: a few pieces of the file → good rows in the import's table, and what is wrong with the others.

A piece is read in a thread while Postgres takes the rows of the one before.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from services.customers.api.import_step import PIECES, Step
from services.customers.domain.csv_file import CsvFile, Place
from services.customers.domain.rows import Batch, Cells, Rejection, RowReader, numbered
from services.customers.storage import import_files, staged, staged_ids
from services.customers.storage.import_files import PIECE_BYTES
from services.shared.errors import InvalidArgument

Parsed = tuple[Batch, int, bytes]
"""A piece's rows, how many there are, and the good ones as COPY takes them."""


async def read(step: Step) -> dict[str, Any]:
    """Answers what changes of the import's row. Raises InvalidArgument where the file can't be read."""
    row, write = step.row, step.write
    if not row.bytes_read:
        await staged.make(write, step.table)
    reader = RowReader(step.mapping, row.header)
    file = CsvFile(*step.dialect, Place(row.bytes_read, row.lines_read))
    rejections: list[Rejection] = []
    cells: dict[int, Cells] = {}
    rows_read = kept = first_line = 0
    async with staged.copying(write, step.table) as copy, aclosing(_ahead(_parsed(step, file, reader))) as batches:
        async for batch, count, content in batches:
            first_line = first_line or min([*batch.lines[:1], *batch.rejected], default=0)
            rows_read, kept = rows_read + count, kept + len(batch.lines)
            rejections += batch.rejections
            cells.update(batch.rejected)
            if content:
                await copy.write(content)
    # What is read again for its cells must count its lines from here.
    await import_files.note_place(write, row.id, first_line - 1 if row.by_record else row.lines_read, row.bytes_read)
    await step.reject("READ", rejections, cells)
    if file.place.offset == row.bytes_read and (row.bytes_read // PIECE_BYTES + PIECES) * PIECE_BYTES < row.bytes:
        raise InvalidArgument(
            "data", f"line {row.lines_read + 1}", f"a record is larger than {PIECES} MiB", "FILE_BROKEN"
        )
    return {
        "step": "READ" if file.place.offset < row.bytes else "SETTLE",
        "bytes_read": file.place.offset,
        "lines_read": file.place.line,
        "rows_read": row.rows_read + rows_read,
        "staged": row.staged + kept,
        "rejected": row.rejected + len(cells),
    }


async def _parsed(step: Step, file: CsvFile, reader: RowReader) -> AsyncGenerator[Parsed]:
    position = step.row.bytes_read
    async with aclosing(step.pieces(position, PIECES)) as pieces:
        async for piece in pieces:
            position += len(piece)
            yield await asyncio.to_thread(_parse, step, file, reader, piece, last=position >= step.row.bytes)


async def _ahead(found: AsyncGenerator[Parsed]) -> AsyncGenerator[Parsed]:
    """`found`, of which the next one is under way while one is dealt with."""
    coming = asyncio.ensure_future(anext(found, None))
    try:
        while (one := await coming) is not None:
            coming = asyncio.ensure_future(anext(found, None))
            yield one
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await found.aclose()


def _parse(step: Step, file: CsvFile, reader: RowReader, piece: bytes, *, last: bool) -> Parsed:
    begins = file.place.offset == 0
    records = numbered(file.feed(piece, last=last), by_record=step.row.by_record)
    if begins and records.rows:  # the heading
        records = type(records)(records.lines[1:], records.rows[1:])
    batch = reader.read(records)
    columns: list[Sequence[Any]] = [batch.lines, *(batch.values[name] for name in step.fields)]
    if step.custom:
        columns += _documents(step, batch)
    return batch, len(records.rows), staged.lines_of(columns).encode() if batch.lines else b""


def _documents(step: Step, batch: Batch) -> list[list[str]]:
    """The custom attributes of rows, with national ids masked; and these, sealed, where there are some."""
    shown: dict[str, Sequence[str | None]] = {each.key: batch.values[each.key] for each in step.custom}
    sealed: list[dict[str, object]] = [{} for _ in batch.lines] if step.secret else []
    for key in step.secret:
        found = [staged_ids.sealed(step.means.keyring, key, cell) for cell in batch.values[key]]
        shown[key] = [mask for mask, _ in found]
        for row, (_, token) in zip(sealed, found, strict=True):
            row[key] = token
    return [staged.documents(shown), *([list(map(json.dumps, sealed))] if step.secret else [])]
