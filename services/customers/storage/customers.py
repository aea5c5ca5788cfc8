"""Reading customers, their owners and contacts. Each read sees the customers of a scope only."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, any_, bindparam, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from services.customers.storage.import_tables import customer_links
from services.customers.storage.labels import TAG, of_kind
from services.customers.storage.tables import customers, labels
from services.shared.access import Scope
from services.shared.access.tables import customer_access

# As text: a document takes three times as long to make and to read, on every row of every list.
_owners = func.array(
    select(
        func.concat_ws(
            literal_column("' '"),
            customer_access.c.role,
            customer_access.c.employee_id,
            customer_access.c.valid_from,
            customer_access.c.valid_to,
        )
    )
    .where(customer_access.c.customer_id == customers.c.id)
    .scalar_subquery(),
    type_=ARRAY(Text),
)
_tags = func.array(
    select(func.substr(labels.c.label, literal_column("3")))
    .where(labels.c.customer_id == customers.c.id, of_kind(TAG))
    .order_by(labels.c.label)
    .scalar_subquery(),
    type_=ARRAY(Text),
)
_links = func.array(
    select(func.concat_ws(literal_column("' '"), customer_links.c.source, customer_links.c.external_id))
    .where(customer_links.c.customer_id == customers.c.id)
    .scalar_subquery(),
    type_=ARRAY(Text),
)
_UNTOLD = ("parent_source", "health_computed_at", "recurring_version", "erased_at")
WHOLE: Select[Any] = select(
    *(column for column in customers.c if column.name not in _UNTOLD),
    _owners.label("owners"),
    _tags.label("tags"),
    _links.label("links"),
)
"""What is told of a customer: its columns, `owners`: a list of "<role> <employee id> <valid from> <valid to>", `tags`,
and `links`: a list of "<source> <external id>", that of its own source left out."""


def among(ids: Sequence[UUID]) -> Any:
    return customers.c.id == any_(bindparam(None, list(ids), ARRAY(Uuid)))


async def get(connection: AsyncConnection, scope: Scope, customer_id: UUID) -> Row[Any] | None:
    query = scope.limit(WHOLE.where(customers.c.id == customer_id), customers.c.id)
    return (await connection.execute(query)).one_or_none()


async def get_many(connection: AsyncConnection, scope: Scope, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Those of `ids` that are known and in scope, in the order of their ids."""
    query = scope.limit(WHOLE.where(among(ids)).order_by(customers.c.id), customers.c.id)
    return (await connection.execute(query)).all()


async def exists(connection: AsyncConnection, scope: Scope, customer_id: UUID) -> bool:
    query: Select[Any] = scope.limit(select(literal_column("1")).where(customers.c.id == customer_id), customers.c.id)
    return (await connection.execute(query)).first() is not None


async def facts_page(
    connection: AsyncConnection, scope: Scope, after: Sequence[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` of all customers in the order of their ids."""
    query = WHOLE.order_by(customers.c.id).limit(size)
    if after:
        query = query.where(customers.c.id > after[0])
    return (await connection.execute(scope.limit(query, customers.c.id, broad=True))).all()
