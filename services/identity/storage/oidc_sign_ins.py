"""Sign-ins that the OpenID provider has not answered yet. Their state is kept as a hash: a reader can't finish them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select

from services.identity.storage.sessions import digest
from services.identity.storage.tables import oidc_sign_ins
from services.shared.db import Write

LIFE = timedelta(minutes=10)
PRUNED_AT_ONCE = 200


async def add(write: Write, state: str, nonce: str, code_verifier: str, redirect_uri: str) -> None:
    """Remembers a sign-in that begins. Forgets some that expired."""
    old = select(oidc_sign_ins.c.state_hash).where(oidc_sign_ins.c.expires_at < write.now).limit(PRUNED_AT_ONCE)
    old = old.with_for_update(skip_locked=True)
    await write.execute(delete(oidc_sign_ins).where(oidc_sign_ins.c.state_hash.in_(old)))
    row = {"state_hash": digest(state), "nonce": nonce, "code_verifier": code_verifier, "redirect_uri": redirect_uri,
           "expires_at": write.now + LIFE}  # fmt: skip
    await write.execute(insert(oidc_sign_ins).values(row))


async def take(write: Write, state: str) -> Row[Any] | None:
    """The sign-in that `state` belongs to, once; None where there is none, or where it has expired."""
    mine = delete(oidc_sign_ins).where(oidc_sign_ins.c.state_hash == digest(state))
    row = (await write.execute(mine.returning(oidc_sign_ins))).one_or_none()
    return row if row is not None and row.expires_at > write.now else None
