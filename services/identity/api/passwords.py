"""Proof by password. A guess is counted before it is looked at; hashing happens beside the event loop."""

import asyncio
import math
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from kejing.identity.v1 import sessions_service_pb2 as pb
from services.identity.api.sessions_proof import IDENTITY, Proven, SignInRefused
from services.identity.domain.passwords import generated, normalised, normalised_login, weaknesses
from services.identity.storage import passwords, sessions
from services.shared.db import Database, Write
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound, Unauthenticated, Violation

AT_ONCE = 2
"""So many passwords are hashed at once."""


class Passwords:
    """Takes the same time and gives the same answer whether a login exists or not."""

    def __init__(self, db: Database) -> None:
        self._db = db
        # Argon2id as OWASP recommends it at least: 19 MB, some 30 ms. Stored hashes follow when this changes.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, given: pb.Password, *, may_be_temporary: bool = False) -> Proven:
        """Whose login and password these are. Raises SignInRefused.

        may_be_temporary: also where the password must be changed at first.
        """
        login = normalised_login(given.login)
        async with self._db.transaction(actor=IDENTITY) as write:
            delayed_until = await passwords.count_guess(write, login)
            holder = await passwords.holder(write, login)
            now = write.now
        employee_id = holder.id if holder else None
        if delayed_until:
            raise SignInRefused("password", "delayed", employee_id, _delayed(delayed_until - now))
        stored = holder.hash if holder and holder.active else None
        text = normalised(given.password)
        if not await self._verified(stored or self._nobodys, text) or holder is None or not stored:
            raise SignInRefused("password", "wrong login or password", employee_id)
        async with self._db.transaction(actor=IDENTITY) as write:
            await passwords.forget_guesses(write, login)
        if holder.must_change and not may_be_temporary:
            message = "the password must be changed at first: ChangePassword does it and signs in"
            refusal = FailedPrecondition("PASSWORD_MUST_BE_CHANGED", message)
            raise SignInRefused("password", "the password must be changed", employee_id, refusal)
        rehashed = await self.hashed(text) if self._hasher.check_needs_rehash(stored) else ""
        return Proven("password", holder.id, hash=stored, rehashed=rehashed)

    async def new_hash(self, given: pb.Password, new_password: str) -> str:
        """The hash of a new password. Raises InvalidArgument: PASSWORD_NOT_NEW, PASSWORD_TOO_WEAK."""
        text = normalised(new_password)
        if text == normalised(given.password):
            raise _unfit("PASSWORD_NOT_NEW", ["another password than the present one"])
        if lacking := weaknesses(text, given.login):
            raise _unfit("PASSWORD_TOO_WEAK", lacking)
        return await self.hashed(text)

    async def reset(self, write: Write, employee_id: UUID, *, only_first: bool = False) -> str:
        """Gives an employee a new password, which must be changed at the first sign-in, and ends his sessions.

        Raises NotFound: EMPLOYEE_NOT_FOUND; FailedPrecondition: EMPLOYEE_INACTIVE, PASSWORD_SET (see ResetPassword).
        """
        holder = await passwords.lock_holder(write, employee_id)
        if holder is None:
            raise NotFound("employee", employee_id)
        if not holder.active:
            raise FailedPrecondition("EMPLOYEE_INACTIVE", "the employee has left")
        if only_first and holder.hash:
            raise FailedPrecondition("PASSWORD_SET", "the employee has a password already")
        password = generated(holder.login)
        await passwords.put_password(write, employee_id, await self.hashed(password), must_change=True)
        await passwords.forget_guesses(write, normalised_login(holder.login))
        await sessions.revoke_all(write, employee_id)
        return password

    async def hashed(self, text: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, text)

    async def _verified(self, stored: str, text: str) -> bool:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.verify, stored, text)
        except VerificationError:
            return False


def _delayed(left: timedelta) -> Unauthenticated:
    seconds = math.ceil(left.total_seconds())
    return Unauthenticated(
        "SIGN_IN_DELAYED",
        f"too many wrong passwords; the next one is looked at in {seconds} s",
        retry_after_seconds=seconds,
    )


def _unfit(reason: str, conditions: list[str]) -> InvalidArgument:
    refusal = InvalidArgument("new_password", None, "", reason)
    refusal.message = f"new_password needs: {'; '.join(conditions)}"
    refusal.violations = tuple(Violation("new_password", condition) for condition in conditions)
    return refusal
