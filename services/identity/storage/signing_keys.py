"""The keys that access tokens are signed with, sealed at rest by identity's own machine key."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import Row, delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.storage.sessions import ACCESS_LIFE, UNDER_WAY
from services.identity.storage.tables import signing_keys
from services.shared.clock import Clock, utc_now
from services.shared.db import Database, Write
from services.shared.ids import new_id
from services.shared.logging import get_logger

ONE_NONCE = bytes(12)
"""Each sealing key seals one private key only, so that the nonce need not vary."""
KEY_LIFE = timedelta(days=30)
"""After so long another key signs, by itself."""
PUBLISHED_AFTER = ACCESS_LIFE + UNDER_WAY
"""So long a retired key is published: until the last token that it signed has expired."""


@dataclass(frozen=True)
class SigningKey:
    key_id: str
    private: Ed25519PrivateKey


class SigningKeys:
    """`key_file`: the Ed25519 key (PEM) that seals the private parts. Keys live by the clock that tokens live by.

    What holds is in the database, and it is looked up for every token, so that all instances agree at once.
    """

    def __init__(self, db: Database, key_file: Path, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._key_file = key_file
        self._opened: SigningKey | None = None

    async def current(self) -> SigningKey:
        """The key to sign with. Made where there is none that the machine key opens, or where it has grown old."""
        async with self._db.read() as read:
            row = await _newest(read)
        key = self._open(row) if row else None
        if key is None or row is None or row.created_at <= self._clock() - KEY_LIFE:
            return await self._make()
        return key

    async def public(self) -> dict[str, Ed25519PublicKey]:
        """The keys that tokens may be signed with now, by key id."""
        published = or_(
            signing_keys.c.retired_at.is_(None), signing_keys.c.retired_at > self._clock() - PUBLISHED_AFTER
        )
        async with self._db.read() as read:
            query = select(signing_keys.c.id, signing_keys.c.public).where(published).order_by(signing_keys.c.id)
            rows = (await read.execute(query)).all()
        return {str(row.id): Ed25519PublicKey.from_public_bytes(row.public) for row in rows}

    async def rotate(self, write: Write, *, compromised: bool = False) -> SigningKey:
        """Makes the key that signs from now on.

        compromised: those of before are gone at once; else they are published while tokens of theirs are good.
        """
        await _lock(write)
        old = delete(signing_keys)
        if not compromised:
            await write.execute(
                update(signing_keys).where(signing_keys.c.retired_at.is_(None)).values(retired_at=self._clock())
            )
            old = old.where(signing_keys.c.retired_at <= self._clock() - PUBLISHED_AFTER)
        await write.execute(old)
        key_id, private = new_id(), Ed25519PrivateKey.generate()
        sealed = self._seal_of(key_id).encrypt(ONE_NONCE, private.private_bytes_raw(), key_id.bytes)
        row = {"id": key_id, "public": private.public_key().public_bytes_raw(), "sealed_private": sealed,
               "created_at": self._clock()}  # fmt: skip
        await write.execute(insert(signing_keys).values(row))
        get_logger().info("new signing key", key=str(key_id), compromised=compromised)
        return SigningKey(str(key_id), private)

    async def _make(self) -> SigningKey:
        async with self._db.transaction(actor="machine:identity") as write:
            await _lock(write)
            row = await _newest(write.connection)
            known = self._open(row) if row else None
            if known and row and row.created_at > self._clock() - KEY_LIFE:
                return known  # another instance was faster
            # Keys that the machine key doesn't open were sealed by one that was replaced: nobody trusts them any more.
            return await self.rotate(write, compromised=row is not None and known is None)

    def _open(self, row: Row[Any]) -> SigningKey | None:
        if self._opened and self._opened.key_id == str(row.id):
            return self._opened
        try:
            private = self._seal_of(row.id).decrypt(ONE_NONCE, row.sealed_private, row.id.bytes)
        except InvalidTag:
            return None
        self._opened = SigningKey(str(row.id), Ed25519PrivateKey.from_private_bytes(private))
        return self._opened

    def _seal_of(self, key_id: UUID) -> ChaCha20Poly1305:
        machine_key = load_pem_private_key(self._key_file.read_bytes(), None)
        if not isinstance(machine_key, Ed25519PrivateKey):
            raise TypeError(f"{self._key_file} is no Ed25519 key")
        derivation = HKDF(SHA256(), 32, salt=key_id.bytes, info=b"kejing identity signing key")
        return ChaCha20Poly1305(derivation.derive(machine_key.private_bytes_raw()))


async def _newest(connection: AsyncConnection) -> Row[Any] | None:
    """The key that signs."""
    signing = select(signing_keys).where(signing_keys.c.retired_at.is_(None))
    return (await connection.execute(signing.order_by(signing_keys.c.id.desc()).limit(1))).one_or_none()


async def _lock(write: Write) -> None:
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing signing keys'))"))
