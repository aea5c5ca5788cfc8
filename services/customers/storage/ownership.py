"""Who owns which customer, and the lists that follow from it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from services.shared.access import unscoped
from services.shared.db import Write

FOLLOWS = "a list follows the facts, whoever changed them"

_LABELS = unscoped(
    text("""
        update labels l
        set name = c.name, number_key = c.number_key, contract_end_key = c.contract_end_key, created_at = c.created_at
        from customers c
        where c.id = any(:ids) and l.customer_id = c.id
            and (l.name, l.number_key, l.contract_end_key, l.created_at)
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
        ), kept as (
            select id as customer_id, '' collate "C" as label from customers where id = any(:ids)
            union all
            select customer_id, label from labels
            where customer_id = any(:ids) and left(label, 2) in ('t:', 'g:')
        ), wanted as materialized (
            select customer_id, employee_id, label, lower(period) as valid_from, upper(period) - 1 as valid_to,
                   c.name, c.number_key, c.contract_end_key, c.created_at
            from periods join kept using (customer_id) join customers c on c.id = customer_id
        ), known as materialized (
            select * from owned_customers where customer_id = any(:ids)
        ), gone as (
            delete from owned_customers o using known k
            where (o.customer_id, o.employee_id, o.label, o.valid_from)
                    = (k.customer_id, k.employee_id, k.label, k.valid_from)
                and not exists (
                    select from wanted w
                    where (w.customer_id, w.employee_id, w.label, w.valid_from)
                        = (k.customer_id, k.employee_id, k.label, k.valid_from)
                )
        ), moved as (
            update owned_customers o
            set valid_to = w.valid_to, name = w.name, number_key = w.number_key,
                contract_end_key = w.contract_end_key, created_at = w.created_at
            from wanted w join known k using (customer_id, employee_id, label, valid_from)
            where (o.customer_id, o.employee_id, o.label, o.valid_from)
                    = (w.customer_id, w.employee_id, w.label, w.valid_from)
                and (k.valid_to, k.name, k.number_key, k.contract_end_key, k.created_at)
                    is distinct from (w.valid_to, w.name, w.number_key, w.contract_end_key, w.created_at)
        )
        insert into owned_customers (customer_id, employee_id, label, valid_from, valid_to,
                                     name, number_key, contract_end_key, created_at)
        select w.customer_id, w.employee_id, w.label, w.valid_from, w.valid_to,
               w.name, w.number_key, w.contract_end_key, w.created_at
        from wanted w left join known k using (customer_id, employee_id, label, valid_from)
        where k.customer_id is null
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid))),
    FOLLOWS,
)


async def refresh_lists(write: Write, customer_ids: Sequence[UUID]) -> None:
    """Brings the lists in which these customers stand up to date, after a change of their owners, labels or what is
    sorted by. Writes only what differs. The caller holds the lock of one_at_a_time.
    """
    if customer_ids:
        await write.execute(_LABELS, {"ids": list(customer_ids)})
        await write.execute(_LISTS, {"ids": list(customer_ids)})
