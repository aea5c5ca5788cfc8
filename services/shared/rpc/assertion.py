"""How a machine, or the owner of a deployment, proves who it is; apart from calls, because every command loads it."""

import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.shared.ids import new_id

ASSERTION_SECONDS = 30


def assertion(key_file: Path, subject: str) -> str:
    """A statement, good for 30 seconds, that the bearer of the key is `subject`; identity gives an access token for it.

    "machine:<name>" needs that machine's own key. "employee:<login>" needs the deployment's command key, whose bearer
    may act as anybody.
    """
    now = int(time.time())
    claims = {"iss": "kejing-command", "aud": "identity", "sub": subject, "iat": now,
              "exp": now + ASSERTION_SECONDS, "jti": str(new_id())}  # fmt: skip
    return jwt.encode(claims, key_file.read_bytes(), algorithm="EdDSA")


def public_key_of(key_file: Path) -> Ed25519PublicKey:
    """The public half of an Ed25519 private key (PEM)."""
    key = load_pem_private_key(key_file.read_bytes(), None).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError(f"{key_file} is no Ed25519 key")
    return key
