"""Callers of a service that is measured by itself, without identity: they sign their own tokens."""

import time

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.shared.rpc.tokens import AUDIENCE, ISSUER
from tests.benchmarks.scoped_server import KEY_ID

KEY = Ed25519PrivateKey.generate()


def metadata(subject: str) -> tuple[tuple[str, str], ...]:
    """Of a call by an employee's id or "machine:<name>"."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "sid": "bench", "exp": int(time.time()) + 7200}
    token = jwt.encode(claims, KEY, algorithm="EdDSA", headers={"kid": KEY_ID})
    return (("authorization", f"Bearer {token}"),)
