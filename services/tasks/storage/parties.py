"""What this service knows of customers and employees: projections of what their owners tell."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Table, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts
from kejing.identity.v1 import employee_pb2
from kejing.identity.v1.events_pb2 import EmployeeFacts
from services.shared.db import Write
from services.tasks.storage.tables import customers, employees, themes


async def keep_customers(write: Write, told: Iterable[CustomerFacts | customer_pb2.Customer]) -> None:
    """Stores what was told of customers, except where something newer is known."""
    await _keep(
        write,
        customers,
        [
            {
                "id": UUID(customer.id),
                "label": _label(customer),
                "owners": {_word(customer_pb2.OwnerRole, owner.role): owner.employee_id for owner in customer.owners},
                "version": customer.version,
            }
            for customer in told
        ],
    )


async def keep_employees(write: Write, told: Iterable[EmployeeFacts | employee_pb2.Employee]) -> None:
    """Stores what was told of employees, except where something newer is known."""
    await _keep(
        write,
        employees,
        [
            {
                "id": UUID(employee.id),
                "manager_id": UUID(employee.manager_id) if employee.manager_id else None,
                "role": _word(employee_pb2.Role, employee.role),
                "active": employee.active,
                "version": employee.version,
            }
            for employee in told
        ],
    )


async def look_up(
    connection: AsyncConnection, customer_id: UUID | None, employee_id: UUID | None, theme_key: str | None
) -> Row[Any, Any, Any]:
    """In one statement: customer_version, employee_active, theme_active; None each for what is not known."""
    query = select(
        select(customers.c.version).where(customers.c.id == customer_id).scalar_subquery().label("customer_version"),
        select(employees.c.active).where(employees.c.id == employee_id).scalar_subquery().label("employee_active"),
        select(themes.c.active).where(themes.c.key == theme_key).scalar_subquery().label("theme_active"),
    )
    return (await connection.execute(query)).one()


async def owners_of(connection: AsyncConnection, customer_id: UUID) -> dict[str, UUID]:
    """Who holds each owner role of the customer, without those who have left."""
    stored = (await connection.execute(select(customers.c.owners).where(customers.c.id == customer_id))).scalar() or {}
    holders = {role: UUID(employee_id) for role, employee_id in stored.items()}
    inactive = select(employees.c.id).where(employees.c.id.in_(set(holders.values())), ~employees.c.active)
    gone = set((await connection.execute(inactive)).scalars()) if holders else set()
    return {role: employee_id for role, employee_id in holders.items() if employee_id not in gone}


async def manager_of(connection: AsyncConnection, employee_id: UUID) -> UUID | None:
    """The employee to whom this one reports, where known."""
    query = select(employees.c.manager_id).where(employees.c.id == employee_id)
    manager_id: UUID | None = (await connection.execute(query)).scalar()
    return manager_id


def _label(customer: CustomerFacts | customer_pb2.Customer) -> str:
    """What operators read. An individual's name is personal, so it is the customer number there."""
    if customer.kind == customer_pb2.CUSTOMER_KIND_INDIVIDUAL:
        return customer.number
    return customer.short_name or customer.name or customer.number


def _word(kind: Any, number: int) -> str:
    """OWNER_ROLE_CSM → CSM; of a value that only a newer release knows, the number."""
    known = kind.DESCRIPTOR.values_by_number.get(number)
    prefix = kind.DESCRIPTOR.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return known.name.removeprefix(prefix) if known else str(number)


async def _keep(write: Write, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """One statement, rows in the order of their ids, so that two writers never wait for each other in a ring."""
    newest: dict[UUID, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["id"], row["version"])):
        newest[row["id"]] = row
    if not newest:
        return
    statement = upsert(table).values(list(newest.values()))
    fresh = {column.name: column for column in statement.excluded if not column.primary_key}
    await write.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=fresh, where=table.c.version < statement.excluded.version
        )
    )
