"""Sessions, their refresh tokens, and assertions that were used."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.identity.storage.tables import employees, refresh_tokens, sessions, used_assertions
from services.shared.db import Write

REFRESH_LIFE = timedelta(hours=12)


async def claim_assertion(write: Write, jti: str, expires_at: datetime) -> bool:
    """Whether the assertion is used for the first time. Forgets those that expired long before this one."""
    await write.execute(delete(used_assertions).where(used_assertions.c.expires_at < expires_at - timedelta(minutes=5)))
    row = upsert(used_assertions).values(jti=jti, expires_at=expires_at).on_conflict_do_nothing()
    return bool((await write.execute(row)).rowcount)


async def open_session(write: Write, session_id: UUID, employee_id: UUID) -> str:
    """Starts a session and answers its first refresh token."""
    await write.execute(insert(sessions).values(id=session_id, employee_id=employee_id, created_at=write.now))
    return await add_refresh_token(write, session_id)


async def add_refresh_token(write: Write, session_id: UUID) -> str:
    token = secrets.token_urlsafe(32)
    row = {"hash": digest(token), "session_id": session_id, "expires_at": write.now + REFRESH_LIFE}
    await write.execute(insert(refresh_tokens).values(row))
    return token


async def lock_refresh_token(write: Write, token: str) -> Row[Any] | None:
    """The token's session_id, expires_at, used_at; its session's revoked_at, employee_id; whether he is active."""
    query = (
        select(
            refresh_tokens.c.session_id,
            refresh_tokens.c.expires_at,
            refresh_tokens.c.used_at,
            sessions.c.revoked_at,
            sessions.c.employee_id,
            employees.c.active,
        )
        .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        .join(employees, employees.c.id == sessions.c.employee_id)
        .where(refresh_tokens.c.hash == digest(token))
        .with_for_update(of=refresh_tokens)
    )
    return (await write.execute(query)).one_or_none()


async def use_refresh_token(write: Write, token: str) -> None:
    mine = update(refresh_tokens).where(refresh_tokens.c.hash == digest(token))
    await write.execute(mine.values(used_at=write.now))


async def revoke(write: Write, session_id: UUID) -> None:
    await write.execute(update(sessions).where(sessions.c.id == session_id).values(revoked_at=write.now))


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
