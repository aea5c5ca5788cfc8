"""Imports get on: step by step, each in one transaction with the note of how far it came.

READ puts the file's good rows into a table of their own, SETTLE takes out of it what can't go in or is said again
later in the file, APPLY brings the rest into customers, chunk by chunk. Whoever dies leaves one step undone at most.
"""

import time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.customers.api import import_apply, import_read, import_settle
from services.customers.api.import_step import Means, Step
from services.customers.api.import_wire import tell
from services.customers.storage import attributes, import_files, import_runs, staged
from services.shared.db import Database, Write
from services.shared.errors import InvalidArgument, NotFound
from services.shared.keyring import Keyring
from services.shared.logging import get_logger
from services.shared.rpc.caller import caller

PART_SECONDS = 2.0
"""A call of AdvanceImport begins no step after so long."""
EVERYBODY = "an import concerns every customer"
STEPS = {"READ": import_read.read, "SETTLE": import_settle.settle, "APPLY": import_apply.apply}


class Advancing:
    """`keyring`: that of files and national ids; `zone`: the business time zone."""

    def __init__(self, db: Database, keyring: Keyring, zone: ZoneInfo) -> None:
        self._db = db
        self._means = Means(db, keyring, zone)

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
                return await self._run(write, row, began)
        except InvalidArgument as error:
            async with self._db.transaction(actor=caller().actor, unscoped=EVERYBODY) as write:
                row = await import_runs.lock(write, import_id)
                if row is None or row.state != "RUNNING":
                    return row
                write.actor = row.created_by
                return await end(write, row, "FAILED", failure=error.message)

    async def _run(self, write: Write, row: Any, began: float) -> Any:
        """Answers the import's row after the step. Raises InvalidArgument where the file can't be read."""
        step = Step(write, row, await attributes.definitions(write.connection), self._means)
        lost = row.staged and not await staged.is_there(write.connection, step.table)
        changes = await (_begin_anew if lost else STEPS[row.step])(step)
        worked = row.worked_seconds + time.monotonic() - began
        if changes is None:
            return await end(write, row, "DONE", worked_seconds=worked)
        return await import_runs.change(write, row.id, worked_seconds=worked, **changes)


async def _begin_anew(step: Step) -> dict[str, Any]:
    """A crash of Postgres has emptied the table: the file is read again, and what went in stays in."""
    await import_runs.forget_rejected(step.write, step.row.id, ["READ", "SETTLE"])
    rejected, superseded = await import_runs.count_rejected(step.write, step.row.id)
    return {"step": "READ", "bytes_read": 0, "lines_read": 0, "rows_read": 0, "staged": 0, "rejected": rejected,
            "superseded": superseded}  # fmt: skip


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
