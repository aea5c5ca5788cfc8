"""The personal data of a customer that lie here: gathered as a whole, and erased as a whole."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, bindparam, delete, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.collection import CONTACT, PERSONAL_OF_INDIVIDUALS
from services.customers.storage import attributes, national_ids, search_index
from services.customers.storage.import_runs import cells_of
from services.customers.storage.import_tables import customer_links, rejected_rows
from services.customers.storage.tables import contacts, customers, erasures, timeline
from services.shared.access import EVERYTHING, unscoped
from services.shared.db import Write
from services.shared.keyring import Keyring
from services.shared.privacy import WHY, Record

AT_ONCE = 2000
"""So many rejected rows are looked through in one statement."""
INDIVIDUAL = "INDIVIDUAL"

_CONTACTS = [
    unscoped(text(f"delete from {table} where customer_id = :customer_id"), WHY)  # noqa: S608 - names of tables
    for table in ("contacts_apart", "merged_contacts", "contact_merges", "customers_with_duplicates")
]
_CHANGES = unscoped(
    text("""
        update timeline
        set changes = case when kind = 'CONTACT' then '{}' else changes - :fields end
        where customer_id = :customer_id
            and (kind = 'CONTACT' and changes <> '{}' or changes ?| :fields)
    """).bindparams(bindparam("fields", type_=ARRAY(Text))),
    WHY,
)


async def collect(connection: AsyncConnection, keyring: Keyring, row: Row[Any]) -> AsyncIterator[Record]:
    """What is known of the persons behind the customer of `row`; national ids in clear."""
    fields = await _personal_fields(connection, row)
    held = await national_ids.tokens(connection, EVERYTHING, row.id)
    clear = {key: national_ids.opened(keyring, key, token) for key, (token, _) in held.items()}
    values = {**row._asdict(), **row.attributes, **clear}
    yield "customer", {"number": row.number, **{name: values[name] for name in fields if values.get(name)}}
    query = select(contacts).where(contacts.c.customer_id == row.id).order_by(contacts.c.id)
    async for contact in await connection.stream(unscoped(query, WHY)):
        yield "contact", {name: getattr(contact, name) for name in CONTACT if name != "customer_external_id"}
    entries = select(timeline.c.occurred_at, timeline.c.kind, timeline.c.changes)
    entries = entries.where(timeline.c.customer_id == row.id, timeline.c.kind.in_(["CONTACT", "ATTRIBUTES"]))
    async for entry in await connection.stream(unscoped(entries.order_by(timeline.c.occurred_at), WHY)):
        of_contact = entry.kind == "CONTACT"
        if changes := {name: change for name, change in entry.changes.items() if of_contact or name in fields}:
            yield "change", {"occurred_at": entry.occurred_at, "of": entry.kind.lower(), "changes": changes}
    async for rejected in _rejected(connection, keyring, row):
        yield "rejected_row", {"line": rejected.line, "cells": cells_of(keyring, rejected)}


async def erase(write: Write, keyring: Keyring, row: Row[Any]) -> Iterable[UUID]:
    """Erases what `collect` gathers; answers the ids of the contacts. The caller holds the lock of one_at_a_time."""
    personal = await _personal_fields(write.connection, row)
    rejected = [(found.import_id, found.line) async for found in _rejected(write.connection, keyring, row)]
    for import_id, line in rejected:
        mine = (rejected_rows.c.import_id == import_id) & (rejected_rows.c.line == line)
        await write.execute(delete(rejected_rows).where(mine))
    for statement in _CONTACTS:
        await write.execute(statement, {"customer_id": row.id})
    gone = delete(contacts).where(contacts.c.customer_id == row.id).returning(contacts.c.id)
    contact_ids = (await write.execute(unscoped(gone, WHY))).scalars().all()
    await national_ids.forget(write, [row.id])
    await write.execute(_CHANGES, {"customer_id": row.id, "fields": list(personal)})
    values: dict[str, Any] = {"attributes": {k: v for k, v in row.attributes.items() if k not in personal}}
    if row.kind == INDIVIDUAL:
        values |= dict.fromkeys(PERSONAL_OF_INDIVIDUALS) | {"name": row.number}
    change = update(customers).where(customers.c.id == row.id)
    change = change.values(**values, erased_at=write.now, version=row.version + 1, updated_at=write.now)
    await write.execute(unscoped(change, WHY))
    await search_index.refresh(write, [row.id])
    return contact_ids


async def open_erasure(write: Write, customer_id: UUID, ground: str) -> None:
    """Keeps the erasure under the id of the write's result."""
    values = {"id": write.result_id, "customer_id": customer_id, "ground": ground, "requested_by": write.actor,
              "requested_at": write.now, "confirmed_by": {}}  # fmt: skip
    await write.execute(unscoped(insert(erasures), WHY), values)


async def confirm(write: Write, erasure_id: UUID, service: str, record_id: str) -> None:
    """The service has erased what it held; `record_id` is that of the proof in its audit."""
    proof = bindparam(None, {service: record_id}, erasures.c.confirmed_by.type)
    mine = update(erasures).where(erasures.c.id == erasure_id)
    await write.execute(unscoped(mine.values(confirmed_by=erasures.c.confirmed_by.op("||")(proof)), WHY))


async def _personal_fields(connection: AsyncConnection, row: Row[Any]) -> Sequence[str]:
    """The customer's fields that are personal data."""
    custom = [definition.key for definition in await attributes.definitions(connection) if definition.personal]
    return [*(PERSONAL_OF_INDIVIDUALS if row.kind == INDIVIDUAL else ()), *custom]


async def _rejected(connection: AsyncConnection, keyring: Keyring, row: Row[Any]) -> AsyncIterator[Row[Any]]:
    """Rows that imports rejected, and that name the customer by one of its external ids or by its number."""
    links = select(customer_links.c.external_id).where(customer_links.c.customer_id == row.id)
    names = {row.external_id, row.number, *(await connection.execute(unscoped(links, WHY))).scalars()}
    after: tuple[Any, ...] | None = None
    while True:
        page = await _rejected_page(connection, after)
        for found in page:
            if not names.isdisjoint(cells_of(keyring, found)):
                yield found
        if len(page) < AT_ONCE:
            return
        after = (page[-1].import_id, page[-1].line)


async def _rejected_page(connection: AsyncConnection, after: tuple[Any, ...] | None) -> Sequence[Row[Any]]:
    order = (rejected_rows.c.import_id, rejected_rows.c.line)
    query = select(rejected_rows).where(rejected_rows.c.cells.is_not(None)).order_by(*order).limit(AT_ONCE)
    if after:
        query = query.where(tuple_(*order) > tuple_(*after))
    return (await connection.execute(query)).all()
