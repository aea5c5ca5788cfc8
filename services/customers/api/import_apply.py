"""APPLY: a few chunks of an import's table → customers, contacts or owners, and what others are told of it.

What is told of a chunk is put together while Postgres works on the next one.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
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
    await one_at_a_time(write)
    customers = await _Customers.of(step) if row.kind == "CUSTOMERS" else None
    bring = customers.bring if customers else partial({"CONTACTS": _contacts, "OWNERS": _owners}[row.kind], step)
    names = ("applied_line", "created", "updated", "unchanged", "rejected", "superseded")
    sums = {name: getattr(row, name) for name in names}
    try:
        for number in range(CHUNKS):
            if (chunk := await staged.next_chunk(write.connection, step.table, sums["applied_line"])) is None:
                return sums if number else None
            created, updated, rejections, replaced = await bring(chunk)
            await step.reject("APPLY", rejections, await step.cells(each.line for each in rejections))
            await step.supersede("APPLY", replaced)
            others = created + updated + len(rejections) + len(replaced)
            done = (created, updated, chunk.size - others, len(rejections), len(replaced))
            for name, count in zip(names[1:], done, strict=True):
                sums[name] += count
            sums["applied_line"] = chunk.last
    finally:
        if customers:
            await customers.told()
    return sums


class _Customers:
    """Customers go in, chunk by chunk."""

    def __init__(self, step: Step, source: applying.Source) -> None:
        self._step = step
        self._source = source
        self._fields = [*step.fields, *(["attributes"] if step.custom else [])]
        self._headings = {name: step.mapping.heading(name) for name in step.fields}
        self._telling: asyncio.Future[None] | None = None

    @classmethod
    async def of(cls, step: Step) -> "_Customers":
        return cls(step, step.source(await import_runs.ours_of_sources(step.write.connection)))

    async def bring(self, chunk: Chunk) -> Done:
        write, zone = self._step.write, self._step.means.zone
        today = business_date(write.now, zone)
        applied = await applying.apply_customers(write, chunk, self._fields, self._source, self._headings, today)
        await self.told()  # who was created a chunk ago is not told of as changed before
        if applied.changed:
            await follow(write, list(applied.changed))
            kind = TouchKind.TOUCH_KIND_CHANGED
            tell_touches(write, [Touch(each, kind, fields=tuple(sorted(of))) for each, of in applied.changed.items()])
            moved = [each for each, of in applied.changed.items() if "last_contract_end" in of]
            await ends_moved(write, moved, zone)
        if applied.created:
            await follow_created(write, applied.created)
            self._telling = asyncio.ensure_future(_tell_created(write, applied.created))
        return len(applied.created), len(applied.changed), applied.rejections, applied.superseded

    async def told(self) -> None:
        """Returns when all is told; raises what went wrong."""
        if self._telling:
            await self._telling


async def _tell_created(write: Write, created: Sequence[Any]) -> None:
    await emit_created(write, created)
    touched(write, [row.id for row in created], TouchKind.TOUCH_KIND_CREATED)


async def _contacts(step: Step, chunk: Chunk) -> Done:
    write = step.write
    created, changed = await applying_people.apply_contacts(
        write, chunk, step.fields, step.row.source, step.mapping.ours
    )
    touches = [*created, *((customer_id, contact_id) for customer_id, contact_id, _ in changed)]
    kind = TouchKind.TOUCH_KIND_CONTACT_CHANGED
    tell_touches(write, [Touch(customer_id, kind, str(contact_id)) for customer_id, contact_id in touches])
    return len(created), len(changed), [], []


async def _owners(step: Step, chunk: Chunk) -> Done:
    write = step.write
    entries = await applying_people.apply_owners(write, chunk, step.fields, step.row.source)
    await happened(write, entries)
    await follow(write, sorted({entry.customer_id for entry in entries}))
    created = sum(not entry.changes[0].before for entry in entries)
    return created, len(entries) - created, [], []
