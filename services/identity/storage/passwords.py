"""Password hashes, and how often somebody guessed in vain."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.identity.domain.passwords import delay_after
from services.identity.storage.tables import employees, failed_sign_ins, passwords
from services.shared.db import Write

FORGOTTEN_AFTER = timedelta(days=1)
"""Failures count as long as the next one comes within this."""
PRUNED_AT_ONCE = 200


async def holder(write: Write, login: str) -> Row[Any] | None:
    """The employee of that login (normalised): id, login, active; his hash and must_change, None without a password."""
    return (await write.execute(_holders().where(employees.c.login == login))).one_or_none()


async def lock_holder(write: Write, employee_id: UUID) -> Row[Any] | None:
    """The same by id. Neither he nor his password is changed by others until this transaction ends."""
    locked = select(employees.c.id).where(employees.c.id == employee_id).with_for_update(key_share=True)
    if (await write.execute(locked)).one_or_none() is None:
        return None
    return (await write.execute(_holders().where(employees.c.id == employee_id))).one()


def _holders() -> Select[Any]:
    theirs = (employees.c.id, employees.c.login, employees.c.active, passwords.c.hash, passwords.c.must_change)
    return select(*theirs).outerjoin(passwords, passwords.c.employee_id == employees.c.id)


async def put_password(write: Write, employee_id: UUID, hashed: str, *, must_change: bool) -> None:
    values = {"hash": hashed, "must_change": must_change, "changed_at": write.now}
    row = upsert(passwords).values(employee_id=employee_id, **values)
    await write.execute(row.on_conflict_do_update(index_elements=["employee_id"], set_=values))


async def put_rehashed(write: Write, employee_id: UUID, hashed: str) -> None:
    """The same password, hashed by today's parameters."""
    await write.execute(update(passwords).where(passwords.c.employee_id == employee_id).values(hash=hashed))


async def count_guess(write: Write, login: str) -> datetime | None:
    """Counts a guess for a login (normalised) as a failure, before it is known whether it is one.

    So guesses at the same time can't get around the delay. Answers until when no password is looked at, None where
    this one may be. Forgets what was long ago.
    """
    old = select(failed_sign_ins.c.login_hash).where(failed_sign_ins.c.delayed_until < write.now - FORGOTTEN_AFTER)
    old = old.limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True)
    await write.execute(delete(failed_sign_ins).where(failed_sign_ins.c.login_hash.in_(old)))
    key = _key(login)
    fresh = upsert(failed_sign_ins).values(login_hash=key, failures=0, delayed_until=write.now)
    locked = fresh.on_conflict_do_update(index_elements=["login_hash"], set_={"login_hash": key})
    row = (await write.execute(locked.returning(failed_sign_ins.c.failures, failed_sign_ins.c.delayed_until))).one()
    if row.delayed_until > write.now:
        until: datetime = row.delayed_until
        return until
    failures = row.failures + 1
    mine = update(failed_sign_ins).where(failed_sign_ins.c.login_hash == key)
    await write.execute(mine.values(failures=failures, delayed_until=write.now + delay_after(failures)))
    return None


async def forget_guesses(write: Write, login: str) -> None:
    await write.execute(delete(failed_sign_ins).where(failed_sign_ins.c.login_hash == _key(login)))


def _key(login: str) -> bytes:
    return hashlib.sha256(login.encode()).digest()
