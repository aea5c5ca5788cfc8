"""The keys that access tokens are signed with, sealed at rest by the deployment's command key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.storage.tables import signing_keys
from services.shared.db import Database
from services.shared.ids import new_id

ONE_NONCE = bytes(12)
"""Each sealing key seals one private key only, so that the nonce need not vary."""


@dataclass(frozen=True)
class SigningKey:
    key_id: str
    private: Ed25519PrivateKey


class SigningKeys:
    """`command_key_file`: the Ed25519 key (PEM) that seals the private parts."""

    def __init__(self, db: Database, command_key_file: Path) -> None:
        self._db = db
        self._command_key_file = command_key_file
        self._current: SigningKey | None = None

    async def current(self) -> SigningKey:
        """The key to sign with. Made when the database holds none that the command key opens."""
        if self._current is None:
            async with self._db.read() as read:
                self._current = await self._newest(read) or await self._make()
        return self._current

    async def public(self) -> dict[str, Ed25519PublicKey]:
        """The keys that tokens may be signed with now, by key id."""
        async with self._db.read() as read:
            rows = (await read.execute(select(signing_keys.c.id, signing_keys.c.public))).all()
        return {str(row.id): Ed25519PublicKey.from_public_bytes(row.public) for row in rows}

    async def _newest(self, connection: AsyncConnection) -> SigningKey | None:
        newest = select(signing_keys).order_by(signing_keys.c.created_at.desc(), signing_keys.c.id).limit(1)
        row = (await connection.execute(newest)).one_or_none()
        return self._open(row) if row else None

    def _open(self, row: Any) -> SigningKey | None:
        try:
            private = self._seal_of(row.id).decrypt(ONE_NONCE, row.sealed_private, row.id.bytes)
        except InvalidTag:
            return None
        return SigningKey(str(row.id), Ed25519PrivateKey.from_private_bytes(private))

    async def _make(self) -> SigningKey:
        async with self._db.transaction(actor="machine:identity") as write:
            await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing signing keys'))"))
            other_instance_made = await self._newest(write.connection)
            if other_instance_made:
                return other_instance_made
            # Keys that the command key doesn't open were sealed by one that was replaced: nobody trusts them any more.
            await write.execute(delete(signing_keys))
            key_id, private = new_id(), Ed25519PrivateKey.generate()
            sealed = self._seal_of(key_id).encrypt(ONE_NONCE, private.private_bytes_raw(), key_id.bytes)
            row = {"id": key_id, "public": private.public_key().public_bytes_raw(), "sealed_private": sealed,
                   "created_at": write.now}  # fmt: skip
            await write.execute(insert(signing_keys).values(row))
        return SigningKey(str(key_id), private)

    def _seal_of(self, key_id: UUID) -> ChaCha20Poly1305:
        command_key = load_pem_private_key(self._command_key_file.read_bytes(), None)
        if not isinstance(command_key, Ed25519PrivateKey):
            raise TypeError(f"{self._command_key_file} is no Ed25519 key")
        derivation = HKDF(SHA256(), 32, salt=key_id.bytes, info=b"kejing identity signing key")
        return ChaCha20Poly1305(derivation.derive(command_key.private_bytes_raw()))
