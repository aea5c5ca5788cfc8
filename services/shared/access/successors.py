"""Who takes over from those who have left."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

# Whoever took over may have left himself since; the depth ends a ring of those who left for one another.
_SUCCESSORS = text("""
    with recursive line as (
        select id as left_id, successor_id, 1 as depth
        from kit.employees where id = any(:ids) and not active and successor_id is not null
        union all
        select l.left_id, e.successor_id, l.depth + 1
        from line l join kit.employees e on e.id = l.successor_id
        where not e.active and e.successor_id is not null and l.depth < 20
    )
    select distinct on (left_id) left_id, successor_id from line order by left_id, depth desc
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


async def successors(connection: AsyncConnection, employee_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Who has left → who takes over now, for those of the employees who have left and named somebody.

    Events may come in another order than people left, so the end of the line counts, not who was named.
    """
    rows = (await connection.execute(_SUCCESSORS, {"ids": list(set(employee_ids))})).all()
    return {row.left_id: row.successor_id for row in rows if row.left_id != row.successor_id}
