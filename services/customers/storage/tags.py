"""Tags on customers."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from services.customers.storage.customers import among
from services.customers.storage.tables import customer_tags, customers, taggings
from services.shared.access import Scope, unscoped
from services.shared.db import Write

MOST_TAGS = 50
LOCKED = "the customers were locked in scope"


async def lock(write: Write, scope: Scope, ids: Sequence[UUID]) -> set[UUID]:
    """Locks those of the customers that are known and in scope; answers them."""
    query = select(customers.c.id).where(among(ids)).order_by(customers.c.id).with_for_update()
    return set((await write.execute(scope.limit(query, customers.c.id))).scalars())


async def put(write: Write, tag: str, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Puts `tag` on locked customers; answers those that did not carry it."""
    sorted_by = (customers.c.name, customers.c.number_key, customers.c.contract_end_key, customers.c.created_at)
    brought = select(customers.c.id, literal(tag), *sorted_by).where(among(ids))
    columns = ["customer_id", "tag", *(each.name for each in sorted_by)]
    put_on: Any = upsert(customer_tags).from_select(columns, brought).on_conflict_do_nothing()
    return (await write.execute(unscoped(put_on.returning(customer_tags.c.customer_id), LOCKED))).scalars().all()


async def take_off(write: Write, tag: str, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Takes `tag` off locked customers; answers those that carried it."""
    theirs = customer_tags.c.customer_id == any_(bindparam(None, list(ids), ARRAY(Uuid)))
    off = delete(customer_tags).where(theirs, customer_tags.c.tag == tag).returning(customer_tags.c.customer_id)
    return (await write.execute(unscoped(off, LOCKED))).scalars().all()


async def overfull(write: Write, ids: Sequence[UUID]) -> UUID | None:
    """One of these customers that carries more than MOST_TAGS."""
    theirs = customer_tags.c.customer_id == any_(bindparam(None, list(ids), ARRAY(Uuid)))
    query = select(customer_tags.c.customer_id).where(theirs).group_by(customer_tags.c.customer_id)
    query = query.having(func.count() > MOST_TAGS).order_by(customer_tags.c.customer_id).limit(1)
    return (await write.execute(unscoped(query, LOCKED))).scalar_one_or_none()


async def remember(write: Write, changed: int) -> None:
    await write.execute(insert(taggings).values(id=write.result_id, changed=changed))


async def remembered(write: Write) -> int:
    return int((await write.execute(select(taggings.c.changed).where(taggings.c.id == write.result_id))).scalar_one())
