# ruff: noqa: S608 - texts of SQL are put together from words of this project only; values are always parameters
"""Who in a scope carries a label: counted up to a limit, and sampled. Read from the lists that labels and owners have,
so that the cost does not grow with the number of customers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Integer, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import TextClause

from services.customers.storage.customers import among
from services.customers.storage.lists import COUNTED
from services.customers.storage.tables import customers, labels
from services.shared.access import Scope, unscoped
from services.shared.access.ids import IdArray
from services.shared.db import Write

OWNERS = 3
"""A customer has at most so many on one day: one a role."""
SAMPLE = 10_000
OWN_LISTS = "it reads labels of no customers but those that the scope's employees own"
KINDS: Mapping[str, Any] = {
    "employees": IdArray(),
    "today": Date(),
    "labels": ARRAY(Text),
    "size": Integer(),
    "most": Integer(),
}


def parameters(scope: Scope) -> Mapping[str, Any]:
    """What statements of the functions here need to be told of a scope."""
    return {} if scope.everything else scope.values


def statement(sql: str, values: Mapping[str, Any]) -> TextClause:
    """The statement with its values."""
    made = text(sql)
    named = [name for name in values if re.search(rf":{name}\b", sql)]
    used = [bindparam(name, values[name], KINDS.get(name, Text())) for name in named]
    return unscoped(made.bindparams(*used), OWN_LISTS)


def first_label(scope: Scope, where: str) -> str:
    """The first label before :end, in the order of the alphabet, that a customer in scope carries and for which `where`
    (on "l") holds: a sub-select."""
    if scope.everything:
        return f"(select l.label from labels l where {where} and l.label < :end order by l.label limit 1)"
    return f"""(
        select min(his.label) from unnest(:employees) as e (id) cross join lateral (
            select l.label from owned_customers l where {_owned("e.id")} and {where} and l.label < :end
            order by l.label limit 1
        ) his
    )"""


def _owned(by: str = "any(:employees)") -> str:
    return f"l.employee_id = {by} and l.valid_from <= :today and l.valid_to >= :today"


def carriers(scope: Scope, label: str = ":label", *, newest: bool = False) -> str:
    """Up to :most customers in scope that carry `label`, as customer_id."""
    order = "order by l.created_at desc" if newest else ""
    if scope.everything:
        return f"select l.customer_id from labels l where l.label = {label} {order} limit :most"
    rows = f"""select l.customer_id, l.created_at from owned_customers l where l.label = {label} and {_owned()}
               {order} limit :most * {OWNERS}"""
    return f"select distinct l.customer_id, l.created_at from ({rows}) l {order} limit :most"


async def counts(connection: AsyncConnection, scope: Scope, wanted: Sequence[str]) -> dict[str, int]:
    """By label: how many customers in scope carry it, counted up to COUNTED."""
    sql = f"""
        select w.label, (select count(*) from ({carriers(scope, "w.label")}) found) as customers
        from unnest(:labels) as w (label)
    """
    values = {**parameters(scope), "labels": list(wanted), "most": COUNTED}
    return {row.label: row.customers for row in await connection.execute(statement(sql, values))}


async def lock(write: Write, scope: Scope, ids: Sequence[UUID]) -> set[UUID]:
    """Locks those of the customers that are known and in scope; answers them."""
    query = select(customers.c.id).where(among(ids)).order_by(customers.c.id).with_for_update()
    return set((await write.execute(scope.limit(query, customers.c.id))).scalars())


async def some_carriers(write: Write, label: str, most: int) -> Sequence[UUID]:
    """Up to `most` customers that carry it, whosoever they are."""
    query = select(labels.c.customer_id).where(labels.c.label == label).limit(most)
    return (await write.execute(unscoped(query, "a label that ends ends for all"))).scalars().all()
