"""APPLY: a few chunks of an import's table → customers, contacts or owners, and what others are told of it.

What is told of a chunk is put together while Postgres works on the next one.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from kejing.customers.v1.events_pb2 import TouchKind
from services.customers.api.changes import follow, follow_created
from services.customers.api.churn import ends_moved
from services.customers.api.happened import Touch, happened, touched
from services.customers.api.happened import tell as tell_touches
from services.customers.api.import_step import Step
from services.customers.api.wire import emit_created
from services.customers.domain.rows import Rejection
from services.customers.storage import applying, applying_people, import_runs, staged
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.staged import Chunk
from services.shared.clock import business_date
from services.shared.db import Write

CHUNKS = 6
"""That go in in one step."""

Done = tuple[int, int, Sequence[Rejection], Sequence[tuple[int, int]]]
"""How many were created and updated; rejected rows; rows that a later one replaced."""


async def apply(step: Step) -> dict[str, Any] | None:
    """Answers what changes of the import's row; None where all is in."""
    row, write = step.row, step.write
    chunk = await staged.next_chunk(write.connection, step.table, row.applied_line)
    if chunk is None:
        return None
    await one_at_a_time(write)
    names = ("applied_line", "created", "updated", "unchanged", "rejected", "superseded")
    sums = {name: getattr(row, name) for name in names}
    applier = {"CUSTOMERS": _customers, "CONTACTS": _contacts, "OWNERS": _owners}[row.kind]
    telling = _Telling()
    try:
        for _ in range(CHUNKS):
            created, updated, rejections, replaced = await applier(step, chunk, telling)
            await step.reject("APPLY", rejections, await step.cells(each.line for each in rejections))
            await step.supersede("APPLY", replaced)
            others = created + updated + len(rejections) + len(replaced)
            done = (created, updated, chunk.size - others, len(rejections), len(replaced))
            for name, count in zip(names[1:], done, strict=True):
                sums[name] += count
            sums["applied_line"] = chunk.last
            if (chunk := await staged.next_chunk(write.connection, step.table, chunk.last)) is None:
                break
    finally:
        await telling.done()
    return sums


class _Telling:
    """What is told of one chunk after the other, while the database works."""

    def __init__(self) -> None:
        self._under_way: asyncio.Future[None] | None = None

    async def begin(self, telling: Awaitable[None]) -> None:
        await self.done()
        self._under_way = asyncio.ensure_future(telling)

    async def done(self) -> None:
        """Returns when all is told; raises what went wrong."""
        if self._under_way:
            await self._under_way


async def _customers(step: Step, chunk: Chunk, telling: _Telling) -> Done:
    write, source = step.write, step.source(await import_runs.ours_of_sources(step.write.connection))
    fields = [*step.fields, *(["attributes"] if step.custom else [])]
    headings = {name: step.mapping.heading(name) for name in step.fields}
    today = business_date(write.now, step.means.zone)
    applied = await applying.apply_customers(write, chunk, fields, source, headings, today)
    if applied.changed:
        await telling.done()  # who was created a chunk ago is not told of as changed before
        await follow(write, list(applied.changed))
        changed = TouchKind.TOUCH_KIND_CHANGED
        tell_touches(write, [Touch(each, changed, fields=tuple(sorted(of))) for each, of in applied.changed.items()])
        await ends_moved(
            write, [each for each, of in applied.changed.items() if "last_contract_end" in of], step.means.zone
        )
    if applied.created:
        await follow_created(write, applied.created)
        await telling.begin(_tell_created(write, applied.created))
    return len(applied.created), len(applied.changed), applied.rejections, applied.superseded


async def _tell_created(write: Write, created: Sequence[Any]) -> None:
    await emit_created(write, created)
    touched(write, [row.id for row in created], TouchKind.TOUCH_KIND_CREATED)


async def _contacts(step: Step, chunk: Chunk, _telling: _Telling) -> Done:
    write = step.write
    created, changed = await applying_people.apply_contacts(
        write, chunk, step.fields, step.row.source, step.mapping.ours
    )
    touches = [*created, *((customer_id, contact_id) for customer_id, contact_id, _ in changed)]
    kind = TouchKind.TOUCH_KIND_CONTACT_CHANGED
    tell_touches(write, [Touch(customer_id, kind, str(contact_id)) for customer_id, contact_id in touches])
    return len(created), len(changed), [], []


async def _owners(step: Step, chunk: Chunk, _telling: _Telling) -> Done:
    write = step.write
    entries = await applying_people.apply_owners(write, chunk, step.fields, step.row.source)
    await happened(write, entries)
    await follow(write, sorted({entry.customer_id for entry in entries}))
    created = sum(not entry.changes[0].before for entry in entries)
    return created, len(entries) - created, [], []
