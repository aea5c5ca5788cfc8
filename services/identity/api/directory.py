"""DirectoryService: everything that other services keep of identity, as a whole."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select

from kejing.identity.v1 import directory_service_pb2_grpc, events_pb2
from kejing.identity.v1.directory_service_pb2 import (
    GetDirectoryRequest,
    GetDirectoryResponse,
    GetRevokedSessionsRequest,
    GetRevokedSessionsResponse,
)
from services.identity.api.wire import to_department_facts, to_deputy, to_employee_facts, to_role
from services.identity.storage import departments, deputies, employees, roles
from services.shared.access.tables import revoked_sessions
from services.shared.clock import business_date
from services.shared.db import Database

PART_ITEMS = 500
MOST_SESSIONS = 10_000
T = TypeVar("T")


class DirectoryServicer(directory_service_pb2_grpc.DirectoryServiceServicer):
    """`zone`: of business dates."""

    def __init__(self, db: Database, zone: ZoneInfo) -> None:
        self._db = db
        self._zone = zone

    async def GetDirectory(self, request: GetDirectoryRequest, context: Any) -> AsyncIterator[GetDirectoryResponse]:
        # Read as a whole before it is sent: a slow reader holds no connection.
        now = self._db.clock()
        async with self._db.snapshot() as read:
            role_rows = await roles.get_all(read, deleted=True)
            tree = await departments.get_tree(read)
            department_rows = await departments.get_all(read)
            employee_rows = await employees.get_all(read)
            deputy_rows = await deputies.get_lasting(read, business_date(now, self._zone))
            ended = select(revoked_sessions).where(revoked_sessions.c.tokens_expire_at >= now)
            session_rows = (await read.execute(ended)).all()
        for rows in _parts(role_rows):
            yield GetDirectoryResponse(roles=map(to_role, rows))
        for rows in _parts(department_rows):
            yield GetDirectoryResponse(departments=[to_department_facts(row, tree) for row in rows])
        for rows in _parts(employee_rows):
            yield GetDirectoryResponse(employees=map(to_employee_facts, rows))
        for rows in _parts(deputy_rows):
            yield GetDirectoryResponse(deputies=map(to_deputy, rows))
        for rows in _parts(session_rows):
            yield GetDirectoryResponse(sessions=map(_to_session, rows))

    async def GetRevokedSessions(self, request: GetRevokedSessionsRequest, context: Any) -> GetRevokedSessionsResponse:
        lasting = select(revoked_sessions).where(revoked_sessions.c.tokens_expire_at >= self._db.clock())
        last_first = lasting.order_by(revoked_sessions.c.tokens_expire_at.desc()).limit(MOST_SESSIONS)
        async with self._db.read() as read:
            rows = (await read.execute(last_first)).all()
        return GetRevokedSessionsResponse(sessions=map(_to_session, rows))


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), PART_ITEMS):
        yield rows[start : start + PART_ITEMS]


def _to_session(row: Any) -> events_pb2.RevokedSession:
    session = events_pb2.RevokedSession(session_id=str(row.session_id))
    session.tokens_expire_at.FromDatetime(row.tokens_expire_at)
    return session
