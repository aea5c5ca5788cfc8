"""Imports as they stand, and the rows that they rejected."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, distinct, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.rows import Cells, Rejection
from services.customers.storage.import_tables import imports, rejected_rows, sources
from services.shared.db import Write
from services.shared.keyring import Keyring

REJECTED_KEPT = timedelta(days=30)
LONGEST_VALUE = 200


async def add(write: Write, **values: Any) -> None:
    """A new import, which is to be read."""
    await write.execute(
        insert(imports).values(
            state="RUNNING", step="READ", version=1, created_by=write.actor, created_at=write.now, updated_at=write.now,
            **values,
        )
    )  # fmt: skip


async def get(connection: AsyncConnection, import_id: UUID) -> Row[Any] | None:
    return (await connection.execute(select(imports).where(imports.c.id == import_id))).one_or_none()


async def lock(write: Write, import_id: UUID) -> Row[Any] | None:
    """The import, of which nobody else does anything until this transaction ends."""
    return (await write.execute(select(imports).where(imports.c.id == import_id).with_for_update())).one_or_none()


async def change(write: Write, import_id: UUID, **values: Any) -> Row[Any]:
    """Sets these columns; answers the import as it is then."""
    changed = update(imports).where(imports.c.id == import_id).values(updated_at=write.now, **values)
    return (await write.execute(changed.returning(imports))).one()


async def page(
    connection: AsyncConnection, states: Sequence[str], after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` imports in these states (none: all), the newest first."""
    query = select(imports).order_by(imports.c.id.desc()).limit(size)
    if states and not {"DONE", "CANCELLED", "FAILED"} & {*states}:
        query = query.where(imports.c.ended_at.is_(None))  # few, and in an index of their own
    if states:
        query = query.where(imports.c.state.in_(states))
    if after:
        query = query.where(imports.c.id < after[0])
    return (await connection.execute(query)).all()


async def reject(
    write: Write,
    keyring: Keyring,
    import_id: UUID,
    step: str,
    rejections: Sequence[Rejection],
    cells: Mapping[int, Cells],
    *,
    superseded: bool = False,
) -> None:
    """Keeps what is wrong with rows, in the order of their lines, and the `cells` of those rows by line."""
    rows: list[dict[str, Any]] = []
    for rejection in rejections:
        first = not rows or rows[-1]["line"] != rejection.line
        row_cells = cells.get(rejection.line) if first else None
        rows.append(
            {
                "import_id": import_id,
                "line": rejection.line,
                "place": 0 if first else rows[-1]["place"] + 1,
                "step": step,
                "column": rejection.column,
                "value": rejection.value[:LONGEST_VALUE],
                "reason": rejection.reason,
                "superseded": superseded,
                "cells": keyring.encrypt(json.dumps(row_cells).encode(), place(import_id, rejection.line))
                if row_cells is not None
                else None,
            }
        )
    if rows:
        await write.execute(upsert(rejected_rows).on_conflict_do_nothing(), rows)


def cells_of(keyring: Keyring, row: Row[Any]) -> list[str]:
    """The cells of a rejected row, as they stood in the file."""
    found: list[str] = json.loads(keyring.decrypt(row.cells, place(row.import_id, row.line)))
    return found


async def forget_rejected(write: Write, import_id: UUID, steps: Sequence[str]) -> None:
    """Takes back what these steps rejected, because they are done again."""
    mine = (rejected_rows.c.import_id == import_id) & rejected_rows.c.step.in_(steps)
    await write.execute(delete(rejected_rows).where(mine))


async def forget_old(write: Write, now: datetime) -> None:
    """Removes rejected rows of imports that ended REJECTED_KEPT ago."""
    old = select(imports.c.id).where(imports.c.ended_at < now - REJECTED_KEPT)
    await write.execute(delete(rejected_rows).where(rejected_rows.c.import_id.in_(old)))


async def rejected_page(
    connection: AsyncConnection, import_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` reasons why rows were not taken, in the order of (line, place)."""
    query: Select[Any] = select(rejected_rows).where(rejected_rows.c.import_id == import_id)
    query = query.order_by(rejected_rows.c.line, rejected_rows.c.place).limit(size)
    if after:
        query = query.where(tuple_(rejected_rows.c.line, rejected_rows.c.place) > tuple_(*after))
    return (await connection.execute(query)).all()


async def rejected_lines(
    connection: AsyncConnection, import_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` rows that were rejected, in the order of their lines, each with all `reasons` in one text."""
    others = rejected_rows.alias("others")
    same = (others.c.import_id == rejected_rows.c.import_id) & (others.c.line == rejected_rows.c.line)
    said = func.concat_ws(": ", func.nullif(others.c.column, ""), others.c.reason)
    # SQL writes the order after the last argument
    reasons = (
        select(func.string_agg(said, aggregate_order_by(literal("; "), others.c.place))).where(same).scalar_subquery()
    )
    query: Select[Any] = select(rejected_rows, reasons.label("reasons")).where(
        rejected_rows.c.import_id == import_id, rejected_rows.c.place == 0, rejected_rows.c.cells.is_not(None)
    )
    if after:
        query = query.where(rejected_rows.c.line > after[0])
    return (await connection.execute(query.order_by(rejected_rows.c.line).limit(size))).all()


async def count_rejected(write: Write, import_id: UUID) -> tuple[int, int]:
    """How many rows were rejected, and how many superseded, by what is kept."""
    lines = func.count(distinct(rejected_rows.c.line))
    query = select(lines.filter(~rejected_rows.c.superseded), lines.filter(rejected_rows.c.superseded))
    row: Any = (await write.execute(query.where(rejected_rows.c.import_id == import_id))).one()
    return int(row[0]), int(row[1])


async def note_source(write: Write, source: str, kind: str, ours: Sequence[str]) -> None:
    """Something comes from the source; for customers and contacts `ours` counts from now on."""
    values: dict[str, Any] = {"name": source, "ours": [], "contacts_ours": [], "imported_at": write.now}
    column = {"CUSTOMERS": "ours", "CONTACTS": "contacts_ours"}.get(kind)
    if column:
        values[column] = list(ours)
    changed = {name: values[name] for name in ("imported_at", column) if name}
    await write.execute(upsert(sources).values(**values).on_conflict_do_update(index_elements=["name"], set_=changed))


async def ours_of_sources(connection: AsyncConnection) -> dict[str, list[str]]:
    """By source: the fields of its customers that people change."""
    return {row.name: row.ours for row in await connection.execute(select(sources.c.name, sources.c.ours))}


def place(import_id: UUID, line: int) -> str:
    return f"rejected_rows/{import_id}/{line}"
