"""What identity and customers tell → this service's directory and owners. Only what is newer than the known is kept."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.type.date_pb2 import Date
from sqlalchemy import Table, Uuid, any_, bindparam, delete, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from kejing.common.v1 import permission_pb2
from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.identity.v1 import events_pb2
from kejing.identity.v1.employee_pb2 import Deputy, Role
from services.shared.access.scope import unscoped
from services.shared.access.tables import (
    customer_access,
    customers,
    departments,
    deputies,
    directory,
    employees,
    revoked_sessions,
    roles,
)
from services.shared.db.rows import brought
from services.shared.db.write import Write
from services.shared.messaging.consumer import Handler

PROJECTING = "the projection of who owns what"


async def put_employees(write: Write, told: Iterable[events_pb2.EmployeeFacts]) -> None:
    await _put(
        write,
        employees,
        [
            {
                "id": UUID(e.id),
                "login": e.login,
                "display_name": e.display_name,
                "department_id": UUID(e.department_id),
                "manager_id": _uuid(e.manager_id),
                "role_key": e.role_key,
                "active": e.active,
                "successor_id": _uuid(e.successor_id),
                "version": e.version,
            }
            for e in told
            if e.role_key  # events of the release before told no role's key; the directory as a whole does
        ],
    )


async def put_departments(write: Write, told: Iterable[events_pb2.DepartmentFacts]) -> None:
    await _put(
        write,
        departments,
        [
            {
                "id": UUID(d.id),
                "path": ".".join(UUID(id_).hex for id_ in d.path),
                "deleted": d.deleted,
                "version": d.version,
            }
            for d in told
        ],
    )


async def put_roles(write: Write, told: Iterable[Role]) -> None:
    await _put(
        write,
        roles,
        [
            {
                "key": r.key,
                "permissions": list(r.permissions),
                "scope": permission_pb2.Scope.Name(r.scope).removeprefix("SCOPE_"),
                "deleted": r.deleted,
                "version": r.version,
            }
            for r in told
        ],
        key="key",
    )


async def put_deputies(write: Write, told: Iterable[Deputy]) -> None:
    await _put(
        write,
        deputies,
        [
            {
                "id": UUID(d.id),
                "absent_id": UUID(d.absent_id),
                "deputy_id": UUID(d.deputy_id),
                "valid_from": _day(getattr(d, "from"), date.min),
                "valid_to": _day(d.until, date.max),
                "deleted": d.deleted,
                "version": d.version,
            }
            for d in told
        ],
    )


async def put_revoked_sessions(write: Write, told: Iterable[events_pb2.RevokedSession]) -> None:
    """Also forgets the sessions whose tokens have all expired by themselves."""
    rows = [{"session_id": UUID(s.session_id), "tokens_expire_at": s.tokens_expire_at.ToDatetime(UTC)} for s in told]
    if not rows:
        return
    await _take_turn(write)
    await write.execute(delete(revoked_sessions).where(revoked_sessions.c.tokens_expire_at < write.now))
    if (await write.execute(upsert(revoked_sessions).values(rows).on_conflict_do_nothing())).rowcount:
        await _count_on(write)


async def put_owners(write: Write, told: Iterable[CustomerFacts]) -> list[UUID]:
    """Takes over the owners of customers; answers the customers that were told something new about."""
    newest = {UUID(c.id): c for c in sorted(told, key=lambda c: c.version)}
    if not newest:
        return []
    versions = [{"id": customer_id, "version": newest[customer_id].version} for customer_id in sorted(newest)]
    known: Any = upsert(customers).from_select(["id", "version"], select(brought(versions, _columns(customers))))
    newer = known.on_conflict_do_update(
        index_elements=["id"],
        set_={"version": known.excluded.version},
        where=customers.c.version < known.excluded.version,
    ).returning(customers.c.id)
    changed = list((await write.execute(newer)).scalars())
    rows = [row for customer_id in changed for row in to_access(newest[customer_id])]
    theirs = customer_access.c.customer_id == any_(bindparam(None, changed, ARRAY(Uuid)))
    await write.execute(unscoped(delete(customer_access).where(theirs), PROJECTING))
    if rows:
        kinds = _columns(customer_access)
        owned = insert(customer_access).from_select(list(kinds), select(brought(rows, kinds)))
        await write.execute(unscoped(owned, PROJECTING))
    return changed


def _columns(table: Table) -> dict[str, Any]:
    return {column.name: column.type for column in table.columns}


def to_access(customer: CustomerFacts) -> list[dict[str, Any]]:
    """The rows of customer_access that a customer's owners are."""
    return [
        {
            "customer_id": UUID(customer.id),
            "role": role_word(owner.role),
            "employee_id": UUID(owner.employee_id),
            "valid_from": _day(owner.valid_from, date.min) if owner.HasField("valid_from") else date.min,
            "valid_to": _day(owner.valid_to, date.max) if owner.HasField("valid_to") else date.max,
        }
        for owner in customer.owners
    ]


def role_word(role: int) -> str:
    """OWNER_ROLE_CSM → CSM; of a role that only a newer release knows, its number."""
    known = customer_pb2.OwnerRole.DESCRIPTOR.values_by_number.get(role)
    return known.name.removeprefix("OWNER_ROLE_") if known else str(role)


async def _put(write: Write, table: Table, rows: Sequence[dict[str, Any]], key: str = "id") -> None:
    newest: dict[Any, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row[key], row["version"])):
        newest[row[key]] = row
    if not newest:
        return
    await _take_turn(write)
    statement = upsert(table).values(list(newest.values()))
    fresh = {column.name: column for column in statement.excluded if not column.primary_key}
    newer = table.c.version < statement.excluded.version
    if (await write.execute(statement.on_conflict_do_update(index_elements=[key], set_=fresh, where=newer))).rowcount:
        await _count_on(write)


async def _take_turn(write: Write) -> None:
    """Writers of the directory come one after the other, so that two never wait for each other in a ring."""
    await write.execute(select(directory.c.revision).with_for_update())


async def _count_on(write: Write) -> None:
    await write.execute(update(directory).values(revision=directory.c.revision + 1))


def _uuid(value: str) -> UUID | None:
    return UUID(value) if value else None


def _day(day: Date, unknown: date) -> date:
    return date(day.year, day.month, day.day) if day.year else unknown


async def _employees_changed(write: Write, _event: Event, payload: events_pb2.EmployeesChanged) -> None:
    await put_employees(write, payload.employees)


async def _departments_changed(write: Write, _event: Event, payload: events_pb2.DepartmentsChanged) -> None:
    await put_departments(write, payload.departments)


async def _roles_changed(write: Write, _event: Event, payload: events_pb2.RolesChanged) -> None:
    await put_roles(write, payload.roles)


async def _deputies_changed(write: Write, _event: Event, payload: events_pb2.DeputiesChanged) -> None:
    await put_deputies(write, payload.deputies)


async def _sessions_revoked(write: Write, _event: Event, payload: events_pb2.SessionsRevoked) -> None:
    await put_revoked_sessions(write, payload.sessions)


async def _customers_changed(write: Write, _event: Event, payload: CustomersChanged) -> None:
    await put_owners(write, payload.customers)


DIRECTORY_HANDLERS: dict[type[Message], Handler] = {
    events_pb2.EmployeesChanged: _employees_changed,
    events_pb2.DepartmentsChanged: _departments_changed,
    events_pb2.RolesChanged: _roles_changed,
    events_pb2.DeputiesChanged: _deputies_changed,
    events_pb2.SessionsRevoked: _sessions_revoked,
}
OWNER_HANDLERS: dict[type[Message], Handler] = {CustomersChanged: _customers_changed}


def both(first: Handler, second: Handler) -> Handler:
    """A handler that lets an event take effect here and there, in one transaction."""

    async def handle(write: Write, event: Event, payload: Any) -> None:
        await first(write, event, payload)
        await second(write, event, payload)

    return handle
