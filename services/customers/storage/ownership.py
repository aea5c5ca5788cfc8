"""Who owns which customer, and the lists that follow from it."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, distinct, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import customers
from services.shared.access import Scope, unscoped
from services.shared.access.tables import customer_access
from services.shared.db import Write

FOLLOWS = "a list follows the facts, whoever changed them"

_TAGS = unscoped(
    text("""
        update customer_tags t
        set name = c.name, number_key = c.number_key, contract_end_key = c.contract_end_key, created_at = c.created_at
        from customers c
        where c.id = any(:ids) and t.customer_id = c.id
            and (t.name, t.number_key, t.contract_end_key, t.created_at)
                is distinct from (c.name, c.number_key, c.contract_end_key, c.created_at)
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid))),
    FOLLOWS,
)
# The periods of an employee's roles at a customer become one where they meet.
_LISTS = unscoped(
    text("""
        with periods as (
            select customer_id, employee_id, unnest(range_agg(daterange(valid_from, valid_to, '[]'))) as period
            from kit.customer_access where customer_id = any(:ids) group by customer_id, employee_id
        ), tags as (
            select id as customer_id, '' collate "C" as tag from customers where id = any(:ids)
            union all
            select customer_id, tag from customer_tags where customer_id = any(:ids)
        ), wanted as materialized (
            select customer_id, employee_id, tag, lower(period) as valid_from, upper(period) - 1 as valid_to,
                   c.name, c.number_key, c.contract_end_key, c.created_at
            from periods join tags using (customer_id) join customers c on c.id = customer_id
        ), known as materialized (
            select * from owned_customers where customer_id = any(:ids)
        ), gone as (
            delete from owned_customers o using known k
            where (o.customer_id, o.employee_id, o.tag, o.valid_from)
                    = (k.customer_id, k.employee_id, k.tag, k.valid_from)
                and not exists (
                    select from wanted w
                    where (w.customer_id, w.employee_id, w.tag, w.valid_from)
                        = (k.customer_id, k.employee_id, k.tag, k.valid_from)
                )
        ), moved as (
            update owned_customers o
            set valid_to = w.valid_to, name = w.name, number_key = w.number_key,
                contract_end_key = w.contract_end_key, created_at = w.created_at
            from wanted w join known k using (customer_id, employee_id, tag, valid_from)
            where (o.customer_id, o.employee_id, o.tag, o.valid_from)
                    = (w.customer_id, w.employee_id, w.tag, w.valid_from)
                and (k.valid_to, k.name, k.number_key, k.contract_end_key, k.created_at)
                    is distinct from (w.valid_to, w.name, w.number_key, w.contract_end_key, w.created_at)
        )
        insert into owned_customers (customer_id, employee_id, tag, valid_from, valid_to,
                                     name, number_key, contract_end_key, created_at)
        select w.customer_id, w.employee_id, w.tag, w.valid_from, w.valid_to,
               w.name, w.number_key, w.contract_end_key, w.created_at
        from wanted w left join known k using (customer_id, employee_id, tag, valid_from)
        where k.customer_id is null
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid))),
    FOLLOWS,
)


async def refresh_lists(write: Write, customer_ids: Sequence[UUID]) -> None:
    """Brings the lists in which these customers stand up to date, after a change of their owners, their tags or what
    is sorted by. Writes only what differs. The caller holds the lock of one_at_a_time.
    """
    if customer_ids:
        await write.execute(_TAGS, {"ids": list(customer_ids)})
        await write.execute(_LISTS, {"ids": list(customer_ids)})


async def hand_over(write: Write, from_id: UUID, to_id: UUID, today: date) -> Sequence[UUID]:
    """Gives what an employee owns, today or later, to another one; answers the customers that changed."""
    his = update(customer_access).where(customer_access.c.employee_id == from_id, customer_access.c.valid_to >= today)
    moved = his.values(employee_id=to_id).returning(customer_access.c.customer_id)
    found = (await write.execute(unscoped(moved, "who leaves leaves all of it"))).scalars()
    return await new_version(write, sorted(set(found)))


async def new_version(write: Write, customer_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Counts a change of these customers' owners, and brings their lists up to date. Answers the same ids."""
    theirs = customers.c.id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid)))
    counted = update(customers).where(theirs).values(version=customers.c.version + 1, updated_at=write.now)
    await write.execute(unscoped(counted, FOLLOWS))
    await refresh_lists(write, customer_ids)
    return customer_ids


async def count_owned(connection: AsyncConnection, scope: Scope, employee_id: UUID, today: date) -> int:
    """How many customers an employee owns, today or later."""
    query: Any = select(func.count(distinct(customer_access.c.customer_id))).where(
        customer_access.c.employee_id == employee_id, customer_access.c.valid_to >= today
    )
    return int((await connection.execute(scope.whole(query, customer_access.c.customer_id))).scalar_one())
