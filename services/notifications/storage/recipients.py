"""Who is told: owners of customers and active employees, from the events of their services."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifications.storage.tables import customer_owners, customer_versions, employees
from services.shared.db import Write


async def project_owners(write: Write, owners: Mapping[UUID, tuple[int, set[UUID]]]) -> None:
    """Takes over (version, employees) of customers where the version is newer than what is known."""
    rows = [{"customer_id": customer, "version": version} for customer, (version, _) in sorted(owners.items())]
    statement = upsert(customer_versions).values(rows)
    newer = statement.on_conflict_do_update(
        index_elements=["customer_id"],
        set_={"version": statement.excluded.version},
        where=customer_versions.c.version < statement.excluded.version,
    ).returning(customer_versions.c.customer_id)
    changed = list((await write.execute(newer)).scalars())
    theirs = customer_owners.c.customer_id == any_(bindparam(None, changed, ARRAY(Uuid)))
    await write.execute(delete(customer_owners).where(theirs))
    pairs = [{"customer_id": customer, "employee_id": employee}
             for customer in changed for employee in sorted(owners[customer][1])]  # fmt: skip
    if pairs:
        await write.execute(insert(customer_owners), pairs)


async def unknown_customers(connection: AsyncConnection, versions: Mapping[UUID, int]) -> set[UUID]:
    """Those of the customers whose owners in this version, or a later one, no event has told of yet."""
    wanted = customer_versions.c.customer_id == any_(bindparam(None, list(versions), ARRAY(Uuid)))
    known = {row.customer_id: row.version for row in await connection.execute(select(customer_versions).where(wanted))}
    return {customer for customer, version in versions.items() if known.get(customer, -1) < version}


async def project_employees(write: Write, rows: Sequence[dict[str, Any]]) -> None:
    """Takes over rows (id, active, version) that are newer than what is known."""
    statement = upsert(employees).values(list(rows))
    await write.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"active": statement.excluded.active, "version": statement.excluded.version},
            where=employees.c.version < statement.excluded.version,
        )
    )
