"""A customer's fields, changed by hand."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Integer, Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.fields import CUSTOMER
from services.customers.storage import parents
from services.customers.storage.import_tables import sources
from services.customers.storage.tables import customers
from services.shared.access import Scope, unscoped
from services.shared.db import Write

WRITTEN = "the customer was read in scope in the same transaction"


async def lock(write: Write, scope: Scope, customer_id: UUID) -> Row[Any] | None:
    """The customer's own row, held until the transaction ends."""
    query = select(customers).where(customers.c.id == customer_id).with_for_update()
    return (await write.execute(scope.limit(query, customers.c.id))).one_or_none()


async def ours(connection: AsyncConnection, source: str) -> set[str]:
    """The fields of a source's customers that people change."""
    found = (await connection.execute(select(sources.c.ours).where(sources.c.name == source))).scalar()
    return set(found or ())


def text_of(row: Row[Any], name: str) -> str:
    """What a customer's row holds under a field or attribute, as people write it; "" where there is nothing."""
    if name not in CUSTOMER:
        return str(row.attributes.get(name, ""))
    value = getattr(row, name)
    return "" if value is None else str(value)


async def put(write: Write, row: Row[Any], values: Mapping[str, str], custom: Collection[str]) -> None:
    """Gives a customer, which is `row` until now, these values by field; "" empties one. `custom`: which of them are
    attributes.
    """
    attributes = {name: value for name, value in row.attributes.items() if name not in values}
    attributes |= {name: value for name, value in values.items() if name in custom and value}
    columns: dict[str, Any] = {name: _stored(name, value) for name, value in values.items() if name not in custom}
    if "parent_external_id" in columns:
        columns["parent_source"] = row.source if values["parent_external_id"] else None
    if attributes != row.attributes:
        columns["attributes"] = attributes
    change = update(customers).where(customers.c.id == row.id)
    change = change.values(**columns, version=row.version + 1, updated_at=write.now)
    await write.execute(unscoped(change, WRITTEN))
    if "parent_external_id" in columns:
        await parents.find(write, [row.id])


def _stored(name: str, value: str) -> Any:
    if not value:
        return None
    if isinstance(customers.c[name].type, Integer):
        return int(value)
    return date.fromisoformat(value) if isinstance(customers.c[name].type, Date) else value
