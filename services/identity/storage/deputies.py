"""Deputies: who stands in for whom."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.storage.tables import deputies, employees
from services.shared.db import Write


async def get(connection: AsyncConnection, deputy_id: UUID) -> Row[Any] | None:
    """A deputyship by its own id."""
    return (await connection.execute(select(deputies).where(deputies.c.id == deputy_id))).one_or_none()


async def get_lasting(connection: AsyncConnection, today: date) -> Sequence[Row[Any]]:
    """Those whose last day isn't over, ended ones too."""
    lasting = select(deputies).where(deputies.c.valid_to >= today).order_by(deputies.c.id)
    return (await connection.execute(lasting)).all()


async def page(
    connection: AsyncConnection, employee_id: UUID, after: list[Any] | None, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` of the employee's deputyships, on either side, the one that ends last first, after `after`."""
    theirs = or_(deputies.c.absent_id == employee_id, deputies.c.deputy_id == employee_id)
    query = select(deputies).where(~deputies.c.deleted, theirs)
    if after:
        query = query.where(tuple_(deputies.c.valid_to, deputies.c.id) < tuple_(*after))
    return (
        await connection.execute(query.order_by(deputies.c.valid_to.desc(), deputies.c.id.desc()).limit(size))
    ).all()


async def absent_for(connection: AsyncConnection, employee_id: UUID, today: date) -> Sequence[Row[Any]]:
    """The employees for whom this one may act today, by login."""
    query = (
        select(employees)
        .where(
            employees.c.active,
            employees.c.id.in_(
                select(deputies.c.absent_id).where(
                    deputies.c.deputy_id == employee_id,
                    ~deputies.c.deleted,
                    deputies.c.valid_from <= today,
                    deputies.c.valid_to >= today,
                )
            ),
        )
        .order_by(employees.c.login)
    )
    return (await connection.execute(query)).all()


async def stood_in_for(connection: AsyncConnection, employee_id: UUID, today: date) -> Sequence[UUID]:
    """The active employees for whom this one may act today or later."""
    query = (
        select(employees.c.id)
        .distinct()
        .join(deputies, deputies.c.absent_id == employees.c.id)
        .where(employees.c.active, deputies.c.deputy_id == employee_id, ~deputies.c.deleted)
        .where(deputies.c.valid_to >= today)
    )
    return (await connection.execute(query)).scalars().all()


async def is_away(write: Write, employee_id: UUID, first: date, last: date) -> bool:
    """Whether somebody stands in for the employee on one of these days."""
    away = select(deputies.c.id).where(
        deputies.c.absent_id == employee_id,
        ~deputies.c.deleted,
        deputies.c.valid_from <= last,
        deputies.c.valid_to >= first,
    )
    return (await write.execute(away.limit(1))).first() is not None


async def add(write: Write, row: dict[str, Any]) -> None:
    await write.execute(insert(deputies).values(**row, deleted=False, version=1, created_at=write.now))


async def end(write: Write, deputy_id: UUID) -> None:
    mine = update(deputies).where(deputies.c.id == deputy_id)
    await write.execute(mine.values(deleted=True, version=deputies.c.version + 1))
