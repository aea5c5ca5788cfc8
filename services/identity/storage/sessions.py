"""Sessions, their refresh tokens, and assertions that were used.

Locks are taken in one order, so that no two calls wait for each other: employee, the directory's revision, sessions,
refresh tokens.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from kejing.identity.v1 import events_pb2
from services.identity.storage.tables import employees, refresh_tokens, sessions, used_assertions
from services.shared.access.projection import put_revoked_sessions
from services.shared.access.tables import directory
from services.shared.db import Write

ACCESS_LIFE = timedelta(minutes=15)
REFRESH_LIFE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=30)
UNDER_WAY = timedelta(minutes=1)
"""A token that is being made while its session is revoked is younger than the revocation by less than this."""
EVENT_ITEMS = 500
PRUNED_AT_ONCE = 200


async def claim_assertion(write: Write, jti: str, expires_at: datetime) -> bool:
    """Whether the assertion is used for the first time. Forgets those that expired long before this one."""
    await write.execute(delete(used_assertions).where(used_assertions.c.expires_at < expires_at - timedelta(minutes=5)))
    row = upsert(used_assertions).values(jti=jti, expires_at=expires_at).on_conflict_do_nothing()
    return bool((await write.execute(row)).rowcount)


async def open_session(write: Write, session_id: UUID, employee_id: UUID) -> str:
    """Starts a session and answers its first refresh token. Forgets some of what has expired."""
    await _prune(write)
    expires_at = write.now + REFRESH_LIFE
    row = {"id": session_id, "employee_id": employee_id, "created_at": write.now, "expires_at": expires_at}
    await write.execute(insert(sessions).values(row))
    return await _add_refresh_token(write, session_id, expires_at)


async def lock_session_of(write: Write, token: str) -> Row[Any] | None:
    """The session that a refresh token belongs to, used or not: id, employee_id, created_at, revoked_at."""
    its = select(refresh_tokens.c.session_id).where(refresh_tokens.c.hash == digest(token)).scalar_subquery()
    return (await write.execute(select(sessions).where(sessions.c.id == its).with_for_update())).one_or_none()


async def refresh_token_of(write: Write, session_id: UUID, token: str) -> Row[Any] | None:
    """expires_at and used_at of a refresh token, and whether its holder is active; read once the session is locked."""
    query = (
        select(refresh_tokens.c.expires_at, refresh_tokens.c.used_at, employees.c.active)
        .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        .join(employees, employees.c.id == sessions.c.employee_id)
        .where(refresh_tokens.c.hash == digest(token), sessions.c.id == session_id)
    )
    return (await write.execute(query)).one_or_none()


async def rotate(write: Write, session: Row[Any], token: str) -> str:
    """Marks a refresh token as used and answers the next one; no session lives longer than SESSION_LIFE."""
    used = update(refresh_tokens).where(refresh_tokens.c.hash == digest(token))
    await write.execute(used.values(used_at=write.now))
    expires_at = min(write.now + REFRESH_LIFE, session.created_at + SESSION_LIFE)
    await write.execute(update(sessions).where(sessions.c.id == session.id).values(expires_at=expires_at))
    return await _add_refresh_token(write, session.id, expires_at)


async def revoke(write: Write, session_ids: Sequence[UUID]) -> list[UUID]:
    """Ends sessions here and everywhere; answers those that lived until now."""
    return await _revoke(write, sessions.c.id.in_(session_ids))


async def revoke_all(write: Write, employee_id: UUID) -> list[UUID]:
    """Ends all sessions of an employee here and everywhere; answers those that lived until now.

    The employee's own row is changed, or locked, before.
    """
    return await _revoke(write, sessions.c.employee_id == employee_id)


async def _revoke(write: Write, which: Any) -> list[UUID]:
    # First what all revocations touch, so that two of them never wait for each other.
    await write.execute(select(directory.c.revision).with_for_update())
    # The last access token of a session may outlive it by so much.
    mine = update(sessions).where(
        which, sessions.c.revoked_at.is_(None), sessions.c.expires_at > write.now - ACCESS_LIFE - UNDER_WAY
    )
    ended = list((await write.execute(mine.values(revoked_at=write.now).returning(sessions.c.id))).scalars())
    told = [events_pb2.RevokedSession(session_id=str(session_id)) for session_id in ended]
    for session in told:
        session.tokens_expire_at.FromDatetime(write.now + ACCESS_LIFE + UNDER_WAY)
    for start in range(0, len(told), EVENT_ITEMS):
        part = told[start : start + EVENT_ITEMS]
        await put_revoked_sessions(write, part)
        write.emit(events_pb2.SessionsRevoked(sessions=part))
    return ended


async def _add_refresh_token(write: Write, session_id: UUID, expires_at: datetime) -> str:
    token = secrets.token_urlsafe(32)
    row = {"hash": digest(token), "session_id": session_id, "expires_at": expires_at}
    await write.execute(insert(refresh_tokens).values(row))
    return token


async def _prune(write: Write) -> None:
    """Removes some sessions that ended and some refresh tokens that expired; each sign-in adds one of each."""
    for table, key in ((sessions, sessions.c.id), (refresh_tokens, refresh_tokens.c.hash)):
        old = select(key).where(table.c.expires_at < write.now - timedelta(hours=1)).limit(PRUNED_AT_ONCE)
        await write.execute(delete(table).where(key.in_(old.with_for_update(skip_locked=True))))


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
