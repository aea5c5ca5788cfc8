"""Until when each customer is under contract."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from services.shared.access import unscoped
from services.shared.db import Write

_WHY = "the writer of an order looks its customer up in scope"

_HOLD = text("""
    insert into contract_ends (customer_id, version) select unnest(cast(:ids as uuid[])), 0
    on conflict (customer_id) do nothing
""")

_HELD = text("select 1 from contract_ends where customer_id = any(:ids) order by customer_id for update")

# A customer with an open-ended effective order, or with none at all, has no end.
_REFRESH = text("""
    with found as (
        select customer_id, case when bool_and(last_day is not null) then max(last_day) end as last_contract_end
        from order_terms
        where customer_id = any(:ids) and status = 'EFFECTIVE'
        group by customer_id
    )
    update contract_ends
    set last_contract_end = found.last_contract_end, version = version + 1
    from unnest(cast(:ids as uuid[])) as asked(customer_id) left join found using (customer_id)
    where contract_ends.customer_id = asked.customer_id
          and contract_ends.last_contract_end is distinct from found.last_contract_end
    returning contract_ends.customer_id, contract_ends.last_contract_end, contract_ends.version
""")


async def hold(write: Write, customer_ids: Iterable[UUID]) -> None:
    """Lets one transaction at a time write orders of a customer, so that none computes an end from half the orders."""
    parameters = {"ids": sorted(set(customer_ids))}
    await write.execute(unscoped(_HOLD, _WHY), parameters)
    await write.execute(unscoped(_HELD, _WHY), parameters)


async def refresh(write: Write, customer_ids: Iterable[UUID]) -> Sequence[Row[Any]]:
    """Computes the ends of these customers from their orders; answers those that changed, with their new version."""
    return (await write.execute(unscoped(_REFRESH, _WHY), {"ids": sorted(set(customer_ids))})).all()
