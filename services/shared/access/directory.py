"""Grants: what an employee may now, from this service's own projection of identity.

They are remembered until the projection changes, which is looked for twice a second: so a change of a role, a move of a
department and the end of a session take effect here within a second of their event, on every instance.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import grpc
from nats.errors import Error as NatsError
from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import Row, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import directory_service_pb2, directory_service_pb2_grpc, events_pb2
from services.shared.access import projection
from services.shared.access.ids import Ids
from services.shared.access.scope import EVERYTHING, Grant, Scope
from services.shared.access.tables import directory, revoked_sessions
from services.shared.clock import Clock, business_date
from services.shared.db.engine import Database
from services.shared.errors import PermissionDenied, Unauthenticated, Unavailable
from services.shared.logging import get_logger
from services.shared.rpc.caller import Caller

LOOK_SECONDS = 0.4
ASK_SECONDS = 3.0
UNKNOWN_SECONDS = 2.0
"""So long identity isn't asked again for an employee that it didn't know."""

# One row: may he do anything, what, and for whose customers. The employees of his department and below only where his
# role shows them.
_GRANT = text("""
    select e.active, r.permissions, r.scope,
        case when r.scope = 'DEPARTMENT' then array(
            select m.id from kit.employees m join kit.departments below on below.id = m.department_id
            where below.path <@ d.path order by m.id)
        end as colleagues
    from kit.employees e
    join kit.roles r on r.key = e.role_key and not r.deleted
    join kit.departments d on d.id = e.department_id
    where e.id = :employee_id
""")
_DEPUTY = text("""
    select 1 from kit.deputies
    where absent_id = :absent_id and deputy_id = :deputy_id and not deleted
        and valid_from <= :today and valid_to >= :today
    limit 1
""")


class Grants(Protocol):
    """Answers what a caller may. `acting_for`: the absent employee that he stands in for, or ""."""

    async def of(self, caller: Caller, acting_for: str) -> Grant: ...


@dataclass
class _Remembered:
    """What was found out since the projection changed last; thrown away as a whole."""

    revision: int
    today: date
    revoked: frozenset[str]
    grants: dict[str, Grant] = field(default_factory=dict)
    deputies: set[tuple[str, str]] = field(default_factory=set)
    """(absent, deputy), where allowed: what is refused could be asked for without end."""


AskDirectory = Callable[[], AsyncIterator[directory_service_pb2.GetDirectoryResponse]]


def asked_of_identity(channel: grpc.aio.Channel, metadata: Callable[[], Awaitable[grpc.aio.Metadata]]) -> AskDirectory:
    """How a service asks identity for its directory, as the machine that it is."""
    stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)

    async def ask() -> AsyncIterator[directory_service_pb2.GetDirectoryResponse]:
        request = directory_service_pb2.GetDirectoryRequest()
        async for part in stub.GetDirectory(request, metadata=await metadata(), timeout=30):
            yield part

    return ask


EndedSessions = Callable[[], Awaitable[Sequence[events_pb2.RevokedSession]]]


def ended_sessions_of_identity(channel: grpc.aio.Channel) -> EndedSessions:
    """How a service asks identity which sessions were ended; the channel signs calls as the machine that it is."""
    stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)

    async def ask() -> Sequence[events_pb2.RevokedSession]:
        request = directory_service_pb2.GetRevokedSessionsRequest()
        return (await stub.GetRevokedSessions(request, timeout=ASK_SECONDS)).sessions

    return ask


class Directory:
    """`ask`: the directory as a whole from identity, for a database that no event filled yet; `ask_ended`: the sessions
    that were ended. None in identity itself, where the projection is written together with the truth."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        zone: ZoneInfo,
        ask: AskDirectory | None,
        ask_ended: EndedSessions | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._ask = ask
        self._ask_ended = ask_ended
        self._known = _Remembered(-1, date.min, frozenset())
        self._looking = asyncio.Lock()
        self._syncing = asyncio.Lock()
        self._synced = ask is None
        self._unknown: dict[UUID, float] = {}
        self._asked_at = float("-inf")

    async def run(self) -> None:
        """Keeps what is remembered fresh, until cancelled. What is remembered holds while Postgres is away."""
        while True:
            try:
                if not self._synced:
                    await self._sync_first()
                await self.look()
            except Unavailable as refusal:
                get_logger().info("directory waits", reason=refusal.reason)
            except (SQLAlchemyError, PsycopgOperationalError, NatsError, OSError) as error:
                get_logger().warning("directory waits", error=type(error).__name__)
                await asyncio.sleep(1)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Forgets what is remembered where the projection, or the business date, is another one than it was."""
        async with self._looking, self._db.read() as read:
            revision = (await read.execute(select(directory.c.revision))).scalar_one()
            today = business_date(self._clock(), self._zone)
            if (revision, today) != (self._known.revision, self._known.today):
                sessions = (await read.execute(select(revoked_sessions.c.session_id))).scalars()
                self._known = _Remembered(revision, today, frozenset(str(id_) for id_ in sessions))

    async def hear_of_ended_sessions(self) -> None:
        """Asks identity which sessions were ended; their events may be late. Raises Unavailable (DIRECTORY_UNKNOWN)."""
        if self._ask_ended is None:
            return
        try:
            told = await self._ask_ended()
        except grpc.aio.AioRpcError as error:
            raise Unavailable("DIRECTORY_UNKNOWN", "identity, which knows whose session ended, is away") from error
        if news := [session for session in told if session.session_id not in self._known.revoked]:
            async with self._db.transaction(actor="machine:directory") as write:
                await projection.put_revoked_sessions(write, news)
            await self.look()

    async def of(self, caller: Caller, acting_for: str = "") -> Grant:
        """What the employee who calls may do now; where he acts for somebody, what that one may.

        Raises Unauthenticated: SESSION_REVOKED, EMPLOYEE_UNKNOWN, EMPLOYEE_INACTIVE; PermissionDenied: NOT_A_DEPUTY;
        Unavailable: DIRECTORY_UNKNOWN while identity, which must be asked, is away.
        """
        known = self._known
        if known.revision < 0:
            await self.look()
            known = self._known
        if caller.session in known.revoked:
            raise Unauthenticated("SESSION_REVOKED", "the session has ended; sign in again")
        grant = known.grants.get(caller.subject) or await self._grant(known, caller.subject)
        if acting_for:
            grant = await self._acting(known, caller.subject, acting_for)
        return grant

    async def grant_of(self, employee_id: UUID) -> Grant | None:
        """What an employee may who doesn't call himself, as one whom work shall be given to. None where he has left or
        nobody knows him.

        Raises Unavailable: DIRECTORY_UNKNOWN while identity, which must be asked, is away.
        """
        if self._known.revision < 0:
            await self.look()
        known, subject = self._known, str(employee_id)
        try:
            return known.grants.get(subject) or await self._grant(known, subject)
        except Unauthenticated:
            return None

    async def _acting(self, known: _Remembered, deputy: str, absent: str) -> Grant:
        refused = PermissionDenied("NOT_A_DEPUTY", "you are no deputy of that employee today")
        if not (allowed := (absent, deputy) in known.deputies):
            try:
                values = {"absent_id": UUID(absent), "deputy_id": UUID(deputy), "today": known.today}
            except ValueError as error:
                raise refused from error
            async with self._db.read() as read:
                allowed = (await read.execute(_DEPUTY, values)).first() is not None
        if not allowed:
            raise refused
        try:
            grant = known.grants.get(absent) or await self._grant(known, absent)
        except Unauthenticated as error:  # of the absent one: he has left
            raise refused from error
        known.deputies.add((absent, deputy))
        return grant

    async def _grant(self, known: _Remembered, subject: str) -> Grant:
        employee_id = UUID(subject)
        row = await self._row(employee_id)
        if row is None and self._ask is not None:
            await self._sync_for(employee_id)
            row = await self._row(employee_id)
        if row is None:
            raise Unauthenticated("EMPLOYEE_UNKNOWN", "the token names nobody who works here")
        if not row.active:
            raise Unauthenticated("EMPLOYEE_INACTIVE", "the employee has left")
        match row.scope:
            case "ALL":
                scope = EVERYTHING
            case "DEPARTMENT":
                scope = Scope(False, Ids(row.colleagues), known.today)
            case _:
                scope = Scope(False, (employee_id,), known.today)
        permissions = frozenset([*row.permissions, permission_pb2.PERMISSION_SIGNED_IN])
        grant = known.grants[subject] = Grant(permissions, scope)
        return grant

    async def _row(self, employee_id: UUID) -> Row[Any] | None:
        async with self._db.read() as read:
            return (await read.execute(_GRANT, {"employee_id": employee_id})).one_or_none()

    async def _sync_first(self) -> None:
        async with self._db.read() as read:
            synced_at = (await read.execute(select(directory.c.synced_at))).scalar_one()
        if synced_at is None:
            await self.sync()
        self._synced = True

    async def _sync_for(self, employee_id: UUID) -> None:
        """Asks identity once for somebody whom no event told of yet. Those who call meanwhile share the answer,
        whomever they look for: many made-up ids cost no more than one."""
        came_at = asyncio.get_running_loop().time()
        async with self._syncing:
            now = asyncio.get_running_loop().time()
            if self._asked_at >= came_at:
                return
            self._unknown = {id_: at for id_, at in self._unknown.items() if now - at <= UNKNOWN_SECONDS}
            if employee_id not in self._unknown and await self._row(employee_id) is None:
                await self._take_over()
                self._unknown[employee_id] = self._asked_at = now

    async def sync(self) -> None:
        """Takes the whole directory over from identity. Raises Unavailable (DIRECTORY_UNKNOWN)."""
        async with self._syncing:
            await self._take_over()

    async def _take_over(self) -> None:
        if self._ask is None:
            return
        try:
            parts = [part async for part in self._ask()]
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                "DIRECTORY_UNKNOWN", "identity, which knows who may do what, does not answer; try again"
            ) from error
        async with self._db.transaction(actor="machine:directory") as write:
            for part in parts:
                await projection.put_roles(write, part.roles)
                await projection.put_departments(write, part.departments)
                await projection.put_employees(write, part.employees)
                await projection.put_deputies(write, part.deputies)
                await projection.put_revoked_sessions(write, part.sessions)
            await write.execute(update(directory).values(synced_at=write.now))
