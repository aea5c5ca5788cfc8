"""Assertions in, access tokens out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.identity.storage.signing_keys import SigningKey
from services.shared.rpc.client import ASSERTION_SECONDS
from services.shared.rpc.tokens import AUDIENCE, ISSUER

ACCESS_LIFE = timedelta(minutes=15)
LEEWAY = timedelta(seconds=5)
"""How far the clocks of two machines of a deployment may lie apart."""


class AssertionRefused(Exception):
    """The assertion proves nothing; the message says why, for the log only."""


@dataclass(frozen=True)
class Assertion:
    """`kind` is "employee" or "machine", `name` the login or the machine's name, `jti` the assertion's own id."""

    kind: str
    name: str
    jti: str
    expires_at: datetime


def read_assertion(token: str, command_key: Ed25519PublicKey, now: datetime) -> Assertion:
    """Checks signature, issuer, audience, age (30 s at most, 5 s of difference between clocks) and subject.

    Raises AssertionRefused.
    """
    options = {"require": ["iat", "exp", "sub", "jti"], "verify_exp": False, "verify_iat": False}
    try:
        claims = jwt.decode(token, command_key, algorithms=["EdDSA"], audience="identity", issuer="kejing-command",
                            options=options)  # type: ignore[arg-type]  # fmt: skip
        issued_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise AssertionRefused(type(error).__name__) from error
    if expires_at - issued_at > timedelta(seconds=ASSERTION_SECONDS):
        raise AssertionRefused("good for longer than allowed")
    if not issued_at - LEEWAY <= now <= expires_at + LEEWAY:
        raise AssertionRefused("expired, or of the future")
    kind, _, name = str(claims["sub"]).partition(":")
    if kind not in ("employee", "machine") or not name:
        raise AssertionRefused("the subject is neither an employee nor a machine")
    return Assertion(kind, name, str(claims["jti"]), expires_at)


def access_token(key: SigningKey, subject: str, session_id: UUID, now: datetime) -> tuple[str, datetime]:
    """A signed token for `subject` (an employee's id or "machine:<name>") and the moment at which it expires."""
    issued_at = now.replace(microsecond=0)
    expires_at = issued_at + ACCESS_LIFE
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "sid": str(session_id), "iat": issued_at,
              "exp": expires_at}  # fmt: skip
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.key_id}), expires_at
