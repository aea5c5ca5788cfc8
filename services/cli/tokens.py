"""Which access token a command carries: KEJING_TOKEN, one by the command key, or that of `kejing sign-in`."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc

from deploy.local.home import Home, write_private
from services.cli.failure import CommandFailed, reason_of

SPARE_SECONDS = 60
"""An access token is exchanged so long before it expires."""
DEADLINE_SECONDS = 30.0
FIRST_ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class Session:
    """What a sign-in left behind. `expires_at`: of the access token, in seconds since 1970."""

    login: str
    access_token: str
    expires_at: float
    refresh_token: str

    @classmethod
    def of(cls, login: str, answer: Any) -> "Session":
        """From a SignInResponse, ChangePasswordResponse or RefreshTokenResponse."""
        return cls(login, answer.access_token, float(answer.expires_at.seconds), answer.refresh_token)


class SessionFile:
    """The session of a home, in a file that only its owner may read. Who changes it holds the lock: a refresh token
    is good once, and two commands that spend the same one look like a theft, which ends the session."""

    def __init__(self, home: Home) -> None:
        self._home = home.path
        self._file: Path = home.path / "session.json"

    def read(self) -> Session | None:
        try:
            return Session(**json.loads(self._file.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise CommandFailed(f"{self._file} holds no session: remove it, and sign in again") from error

    def write(self, session: Session) -> None:
        write_private(self._file, json.dumps(asdict(session)).encode())

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._home / "session.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def access_token(login: str) -> str:
    """The access token of a command.

    Args:
        login: whose, by the command key; "" for who signed in, or the first administrator where nobody did.

    Raises:
        CommandFailed: nobody signed in, or the session ended, or this home has no command key.
        grpc.RpcError: identity refused, or is not there.
    """
    if told := os.environ.get("KEJING_TOKEN"):
        return told
    home = Home.from_environment()
    if not login and (session := SessionFile(home).read()):
        return fresh(home, session).access_token
    return by_command_key(home, login or FIRST_ADMINISTRATOR)


def by_command_key(home: Home, login: str) -> str:
    """A token of an employee whom the owner of this home vouches for; the audit tells such a session by its means.

    Raises:
        CommandFailed: the home has no command key.
        grpc.RpcError: identity refused, or is not there.
    """
    from kejing.identity.v1.sessions_service_pb2 import SignInRequest
    from services.shared.rpc.assertion import assertion

    if not home.command_key.exists():
        raise CommandFailed(
            f"{home.command_key} is missing, and nobody signed in: `kejing sign-in LOGIN`, or start a stack by "
            "`kejing up`, or set KEJING_HOME or KEJING_TOKEN"
        )
    proof = SignInRequest(assertion=assertion(home.command_key, f"employee:{login}"))
    with sessions() as service:
        token: str = service.SignIn(proof, timeout=DEADLINE_SECONDS).access_token
    return token


def fresh(home: Home, session: Session) -> Session:
    """The session with an access token that is good for a while; exchanged where it isn't.

    Raises:
        CommandFailed: the session has ended.
        grpc.RpcError: identity is not there.
    """
    if session.expires_at - time.time() > SPARE_SECONDS:
        return session
    from kejing.identity.v1.sessions_service_pb2 import RefreshTokenRequest

    file = SessionFile(home)
    with file.locked():
        session = file.read() or session  # another command may have exchanged it meanwhile
        if session.expires_at - time.time() > SPARE_SECONDS:
            return session
        try:
            with sessions() as service:
                spent = RefreshTokenRequest(refresh_token=session.refresh_token)
                answer = service.RefreshToken(spent, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            if reason_of(error) != "REFRESH_REFUSED":
                raise
            raise CommandFailed(
                f"the session of {session.login} has ended: `kejing sign-in {session.login}`"
            ) from error
        session = Session.of(session.login, answer)
        file.write(session)
    return session


@contextmanager
def sessions() -> Iterator[Any]:
    """A stub of identity's SessionsService that needs no token."""
    from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
    from services.cli.client import channel

    with channel("identity") as to_identity:
        yield SessionsServiceStub(to_identity)
