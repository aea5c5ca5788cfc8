"""Contacts that are made one, and several again."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Uuid, any_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import contact_merges, contacts, merged_contacts
from services.shared.access import Scope, unscoped
from services.shared.db import Write

LOCKED = "the contacts were locked in scope"

_merged = (
    select(func.array_agg(aggregate_order_by(merged_contacts.c.contact_id, merged_contacts.c.contact_id)))
    .where(merged_contacts.c.merge_id == contact_merges.c.id, merged_contacts.c.merged_into.is_(None))
    .scalar_subquery()
)
WHOLE: Select[Any] = select(contact_merges, _merged.label("contact_ids"))
"""Merges, and `contact_ids`: those that were shown before."""


async def page(
    connection: AsyncConnection, scope: Scope, customer_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` merges of a customer, the newest first."""
    query = WHOLE.where(contact_merges.c.customer_id == customer_id).order_by(contact_merges.c.id.desc()).limit(size)
    if after:
        query = query.where(contact_merges.c.id < after[0])
    return (await connection.execute(scope.limit(query, contact_merges.c.customer_id))).all()


async def get(connection: AsyncConnection, scope: Scope, merge_id: UUID) -> Row[Any] | None:
    query = scope.limit(WHOLE.where(contact_merges.c.id == merge_id), contact_merges.c.customer_id)
    return (await connection.execute(query)).one_or_none()


async def merge(write: Write, customer_id: UUID, into_id: UUID, ids: Sequence[UUID]) -> None:
    """Hides locked contacts behind `into_id`, and with them those that are hidden behind them. The merge's id is
    write.result_id."""
    made = insert(contact_merges).values(id=write.result_id, customer_id=customer_id, into_id=into_id,
                                         merged_by=write.actor, merged_at=write.now)  # fmt: skip
    await write.execute(unscoped(made, LOCKED))
    theirs = bindparam(None, list(ids), ARRAY(Uuid))
    moved = or_(contacts.c.id == any_(theirs), contacts.c.merged_into == any_(theirs))
    columns = ["merge_id", "contact_id", "customer_id", "merged_into"]
    merge_id = bindparam(None, write.result_id, Uuid)
    known = select(merge_id, contacts.c.id, contacts.c.customer_id, contacts.c.merged_into).where(moved)
    await write.execute(unscoped(insert(merged_contacts).from_select(columns, known), LOCKED))
    hidden = update(contacts).where(moved).values(merged_into=into_id)
    await write.execute(unscoped(hidden.values(version=contacts.c.version + 1, updated_at=write.now), LOCKED))
    await _count(write, into_id)


async def undo(write: Write, merge_id: UUID, into_id: UUID) -> None:
    """Puts what a merge moved back where it was."""
    back = (
        update(contacts)
        .where(merged_contacts.c.merge_id == merge_id, contacts.c.id == merged_contacts.c.contact_id)
        .values(merged_into=merged_contacts.c.merged_into, version=contacts.c.version + 1, updated_at=write.now)
    )
    await write.execute(unscoped(back, LOCKED))
    ended = update(contact_merges).where(contact_merges.c.id == merge_id).values(undone_at=write.now)
    await write.execute(unscoped(ended, LOCKED))
    await _count(write, into_id)


async def _count(write: Write, contact_id: UUID) -> None:
    """What the contact shows has changed."""
    changed = update(contacts).where(contacts.c.id == contact_id)
    await write.execute(unscoped(changed.values(version=contacts.c.version + 1, updated_at=write.now), LOCKED))
