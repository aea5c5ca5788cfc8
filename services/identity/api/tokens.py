"""Assertions in, access tokens out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kejing.common.v1 import options_pb2
from services.identity.storage.sessions import ACCESS_LIFE
from services.identity.storage.signing_keys import SigningKey
from services.shared.rpc.assertion import ASSERTION_SECONDS
from services.shared.rpc.tokens import AUDIENCE, ISSUER

LEEWAY = timedelta(seconds=5)
"""How far the clocks of two machines of a deployment may lie apart."""
MACHINES = frozenset(name.removeprefix("MACHINE_").lower() for name, number in options_pb2.Machine.items() if number)


class AssertionRefused(Exception):
    """The assertion proves nothing; the message says why, for the log only."""


@dataclass(frozen=True)
class Assertion:
    """`kind` is "employee" or "machine", `name` the login or the machine's name, `jti` the assertion's own id."""

    kind: str
    name: str
    jti: str
    expires_at: datetime


def read_assertion(token: str, command_key: Ed25519PublicKey, machine_keys: Path, now: datetime) -> Assertion:
    """Checks subject, signature, issuer, audience and age (30 s at most, 5 s of difference between clocks).

    `command_key` proves employees, `machine_keys`/<name>.pub the machine <name>: read anew each time, so that a key
    can be exchanged while identity runs. Raises AssertionRefused.
    """
    options = {"require": ["iat", "exp", "sub", "jti"], "verify_exp": False, "verify_iat": False}
    try:
        claimed = jwt.decode(token, options={"verify_signature": False}).get("sub", "")
        kind, _, name = str(claimed).partition(":")
        key = command_key if kind == "employee" else machine_key(machine_keys, kind, name)
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="identity", issuer="kejing-command",
                            options=options)  # type: ignore[arg-type]  # fmt: skip
        issued_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise AssertionRefused(type(error).__name__) from error
    if expires_at - issued_at > timedelta(seconds=ASSERTION_SECONDS):
        raise AssertionRefused("good for longer than allowed")
    if not issued_at - LEEWAY <= now <= expires_at + LEEWAY:
        raise AssertionRefused("expired, or of the future")
    return Assertion(kind, name, str(claims["jti"]), expires_at)


def machine_key(folder: Path, kind: str, name: str) -> Ed25519PublicKey:
    """The public key of the machine `name`. Raises AssertionRefused where there is none."""
    if kind != "machine" or name not in MACHINES:
        raise AssertionRefused("the subject is neither an employee nor a machine")
    try:
        key = load_pem_public_key((folder / f"{name}.pub").read_bytes())
    except (OSError, ValueError) as error:
        raise AssertionRefused(f"the key of the machine {name}: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AssertionRefused(f"the key of the machine {name} is no Ed25519 key")
    return key


def access_token(key: SigningKey, subject: str, session_id: UUID, now: datetime) -> tuple[str, datetime]:
    """A signed token for `subject` (an employee's id or "machine:<name>") and the moment at which it expires."""
    issued_at = now.replace(microsecond=0)
    expires_at = issued_at + ACCESS_LIFE
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "sid": str(session_id), "iat": issued_at,
              "exp": expires_at}  # fmt: skip
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.key_id}), expires_at
