"""Contacts: as they are shown, and as people change them.

A contact that was merged into another one keeps its row, as its source writes it, and is hidden. What the shown one
lacks it shows from those that were merged into it, the oldest first. So a merge copies nothing, and undoing it gives
back exactly what was.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Uuid, any_, bindparam, func, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.import_tables import sources
from services.customers.storage.tables import contacts
from services.shared.access import Scope, unscoped
from services.shared.db import Write

LENT = ("phone", "wechat_id", "post", "email")
"""Fields that a shown contact takes from those merged into it. One that was emptied by hand is "", and stays so."""
LOCKED = "the contacts were locked in scope"

_hidden = contacts.alias("hidden")
_lent = (
    select(
        *(
            func.array_agg(aggregate_order_by(_hidden.c[name], _hidden.c.id))
            .filter(_hidden.c[name] != "")[1]
            .label(name)
            for name in LENT
        )
    )
    .where(_hidden.c.merged_into == contacts.c.id)
    .lateral("lent")
)
SHOWN: Select[Any] = select(
    *(column for column in contacts.c if column.name not in LENT),
    *(func.coalesce(contacts.c[name], _lent.c[name]).label(name) for name in LENT),
).join_from(contacts, _lent, true(), isouter=True)
"""Contacts with what they show. For a list add IS_SHOWN."""
IS_SHOWN = contacts.c.merged_into.is_(None)


def among(ids: Sequence[UUID]) -> Any:
    return contacts.c.id == any_(bindparam(None, list(ids), ARRAY(Uuid)))


async def page(
    connection: AsyncConnection, scope: Scope, customer_id: UUID, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` contacts of a customer in the order of (name, id)."""
    query = SHOWN.where(contacts.c.customer_id == customer_id, IS_SHOWN)
    query = query.order_by(contacts.c.name, contacts.c.id).limit(size)
    if after:
        query = query.where(tuple_(contacts.c.name, contacts.c.id) > tuple_(*after))
    return (await connection.execute(scope.limit(query, contacts.c.customer_id))).all()


async def get_many(connection: AsyncConnection, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Those of `ids` that are known and in scope, hidden ones too, by their ids."""
    query = scope.limit(SHOWN.where(among(ids)), contacts.c.customer_id)
    return {row.id: row for row in await connection.execute(query)}


async def lock(write: Write, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Locks those of the contacts that are shown and in scope, and answers their rows, without what is lent to them."""
    query = select(contacts).where(among(ids), IS_SHOWN).order_by(contacts.c.id).with_for_update()
    return {row.id: row for row in await write.execute(scope.limit(query, contacts.c.customer_id))}


async def change(write: Write, contact_id: UUID, values: Mapping[str, str]) -> None:
    """Writes fields of a locked contact and counts its version."""
    mine = update(contacts).where(contacts.c.id == contact_id)
    changed = mine.values(**values, version=contacts.c.version + 1, updated_at=write.now)
    await write.execute(unscoped(changed, LOCKED))


async def ours(connection: AsyncConnection, source: str) -> frozenset[str]:
    """The fields of contacts that `source` leaves to people."""
    query = select(sources.c.contacts_ours).where(sources.c.name == source)
    return frozenset((await connection.execute(query)).scalar_one_or_none() or ())
