"""What other services told: ends of contracts, health. Only what is newer than the known is applied."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Date, literal_column, or_, update

from services.customers.storage.tables import customers
from services.customers.storage.timeline import Change
from services.shared.db import Write


async def set_contract_end(write: Write, customer_id: UUID, end: date | None, version: int) -> Change | None:
    """What it changed where the customer's end became another one."""
    mine = (customers.c.id == customer_id) & (customers.c.contract_end_version < version)
    moved = update(customers).where(mine, customers.c.last_contract_end.is_distinct_from(end)).values(
        last_contract_end=end, contract_end_version=version, version=customers.c.version + 1, updated_at=write.now
    ).returning(literal_column("old.last_contract_end", Date).label("before"))  # fmt: skip
    if row := (await write.execute(moved)).one_or_none():
        return Change("last_contract_end", _text(row.before), _text(end))
    await write.execute(update(customers).where(mine).values(contract_end_version=version))
    return None


def _text(day: date | None) -> str:
    return day.isoformat() if day else ""


@dataclass(frozen=True)
class HealthOfWeek:
    """A customer's health; `week` is an ISO week such as "2026-W47"."""

    customer_id: UUID
    week: str
    status: str
    computed_at: datetime


async def set_health(write: Write, health: HealthOfWeek) -> None:
    """An older week never replaces a newer one; of two computations for one week the later counts."""
    newer = or_(
        customers.c.health_week.is_(None),
        customers.c.health_week < health.week,
        (customers.c.health_week == health.week) & (customers.c.health_computed_at < health.computed_at),
    )
    await write.execute(
        update(customers)
        .where(customers.c.id == health.customer_id, newer)
        .values(health_status=health.status, health_week=health.week, health_computed_at=health.computed_at)
    )
