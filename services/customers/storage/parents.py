"""Which customer belongs to which: a parent may come before its children or after them, by this source or another."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from services.shared.access import unscoped
from services.shared.db import Write

PARENTS = "a parent is found whoever may see it: what is told is its id"


async def are_missing(write: Write) -> bool:
    query = text("select 1 from customers where parent_id is null and parent_external_id is not null limit 1")
    return (await write.execute(query)).first() is not None


# By this very source's link first, then by the id that a customer was created under.
_PARENT = """coalesce(
    (select customer_id from customer_links where source = c.parent_source and external_id = c.parent_external_id),
    (select p.id from customers p where p.external_id = c.parent_external_id))"""
_THEIRS = """
    update customers c set parent_id = {parent} where c.id = any(:ids) and c.parent_id is distinct from {parent}
"""
_WAITING = """
    update customers c set parent_id = {parent}
    where c.parent_id is null and c.parent_external_id is not null and c.parent_external_id in (
        select external_id from customers where id = any(:ids)
        union all select external_id from customer_links where customer_id = any(:ids)
    ) and {parent} is not null
"""


async def find(write: Write, customer_ids: Sequence[UUID]) -> None:
    """Finds the parents of these customers, and those whose parents these are."""
    for statement in (_THEIRS, _WAITING):
        query = text(statement.format(parent=_PARENT)).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
        await write.execute(unscoped(query, PARENTS), {"ids": list(customer_ids)})
