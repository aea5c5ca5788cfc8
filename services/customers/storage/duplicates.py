"""Which customers have contacts that are likely one person."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.duplicates import Alike, Known, likely_duplicates
from services.customers.storage.tables import contacts, contacts_apart, customers_with_duplicates
from services.shared.access import Scope, unscoped
from services.shared.db import Write

FOLLOWS = "it follows the contacts, whoever changed them"
READ_IN_SCOPE = "the customers were read in scope"
LAST_ID = UUID(int=2**128 - 1)


async def refresh(write: Write, customer_ids: Sequence[UUID]) -> None:
    """To be called after every change of contacts, with their customers. The caller holds the lock of one_at_a_time."""
    found = await of_customers(write.connection, customer_ids)
    without = [id_ for id_ in customer_ids if id_ not in found]
    gone = delete(customers_with_duplicates).where(_among(customers_with_duplicates.c.customer_id, without))
    await write.execute(unscoped(gone, FOLLOWS))
    if found:
        rows = [{"customer_id": customer_id} for customer_id in found]
        await write.execute(unscoped(upsert(customers_with_duplicates).on_conflict_do_nothing(), FOLLOWS), rows)


async def page(
    connection: AsyncConnection, scope: Scope, customer_id: UUID | None, after: Sequence[UUID] | None, size: int
) -> Sequence[tuple[UUID, Alike]]:
    """Up to `size` groups with their customers, in the order of (customer, first contact), from `after` on; of one
    customer or of all in scope."""
    found: list[tuple[UUID, Alike]] = []
    position = tuple(after or (UUID(int=0), UUID(int=0)))
    while len(found) < size:
        ids = await _customers(connection, scope, customer_id, position[0], size + 1)
        groups = await of_customers(connection, ids)
        found += [(id_, one) for id_ in ids for one in groups.get(id_, ()) if (id_, one.contact_ids[0]) > position]
        if len(ids) <= size:
            break
        position = ids[-1], LAST_ID
    return found[:size]


async def _customers(
    connection: AsyncConnection, scope: Scope, customer_id: UUID | None, first: UUID, size: int
) -> Sequence[UUID]:
    """Up to `size` customers with likely duplicates from `first` on; or just the one."""
    id_ = customers_with_duplicates.c.customer_id
    query = select(id_).where(id_ == customer_id if customer_id else id_ >= first).order_by(id_).limit(size)
    return (await connection.execute(scope.limit(query, id_, broad=customer_id is None))).scalars().all()


async def of_customers(connection: AsyncConnection, customer_ids: Sequence[UUID]) -> dict[UUID, list[Alike]]:
    """Likely duplicates by customer; customers without any are left out."""
    several = select(contacts.c.customer_id).where(_among(contacts.c.customer_id, customer_ids))
    several = several.group_by(contacts.c.customer_id).having(func.count() > 1)
    query = select(
        contacts.c.customer_id, func.coalesce(contacts.c.merged_into, contacts.c.id).label("person"), contacts.c.name,
        contacts.c.phone, contacts.c.wechat_id, contacts.c.email,
    ).where(contacts.c.customer_id.in_(several))  # fmt: skip
    known: dict[UUID, list[Known]] = defaultdict(list)
    for row in await connection.execute(unscoped(query, READ_IN_SCOPE)):
        known[row.customer_id].append(
            Known(row.person, row.name, row.phone or "", row.wechat_id or "", row.email or "")
        )
    apart = await _apart(connection, list(known)) if known else set()
    found = {customer_id: likely_duplicates(of_one, apart) for customer_id, of_one in known.items()}
    return {customer_id: groups for customer_id, groups in found.items() if groups}


async def keep_apart(write: Write, customer_id: UUID, ids: Sequence[UUID]) -> None:
    """Says that these locked contacts are different persons."""
    rows: list[dict[str, Any]] = [
        {"customer_id": customer_id, "contact_id": one, "other_id": other, "said_by": write.actor, "said_at": write.now}
        for one, other in combinations(sorted(ids), 2)
    ]
    await write.execute(unscoped(upsert(contacts_apart).on_conflict_do_nothing(), "they were locked in scope"), rows)


async def _apart(connection: AsyncConnection, customer_ids: Sequence[UUID]) -> set[tuple[UUID, UUID]]:
    """Pairs of shown contacts that are different persons, or whose merged ones are; the smaller id first."""
    one, other = contacts.alias(), contacts.alias()
    query = (
        select(func.coalesce(one.c.merged_into, one.c.id), func.coalesce(other.c.merged_into, other.c.id))
        .join_from(contacts_apart, one, one.c.id == contacts_apart.c.contact_id)
        .join(other, other.c.id == contacts_apart.c.other_id)
        .where(_among(contacts_apart.c.customer_id, customer_ids))
    )
    rows = await connection.execute(unscoped(query, READ_IN_SCOPE))
    return {(min(pair), max(pair)) for pair in rows}


def _among(column: Any, ids: Sequence[UUID]) -> Any:
    return column == any_(bindparam(None, list(ids), ARRAY(Uuid)))
