"""National ids: encrypted in a table of their own, masked wherever else they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, delete, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.attributes import masked
from services.customers.storage.tables import national_ids
from services.shared.access import Scope, unscoped
from services.shared.db import Write
from services.shared.keyring import Keyring

WRITTEN = "the customer was read in scope in the same transaction"


@dataclass(frozen=True)
class Sealed:
    """A national id as it may be kept: what people see of it, what it is encrypted as, and its digest."""

    mask: str
    token: bytes
    digest: bytes


def place(key: str) -> str:
    """What the token of a national id under the attribute `key` is bound to."""
    return f"national_ids/{key}"


def seal(keyring: Keyring, key: str, value: str) -> Sealed:
    clear = value.encode("ascii")
    return Sealed(masked(value), keyring.encrypt(clear, place(key)), keyring.digest(clear))


async def put(write: Write, customer_id: UUID, sealed: Mapping[str, Sealed | None]) -> None:
    """Keeps these national ids of a customer by their attributes' keys; None removes one. The masks belong into
    customers.attributes.
    """
    mine = (national_ids.c.customer_id == customer_id) & national_ids.c.key.in_(sealed)
    await write.execute(unscoped(delete(national_ids).where(mine), WRITTEN))
    rows = [
        {"customer_id": customer_id, "key": key, "token": value.token, "digest": value.digest}
        for key, value in sealed.items()
        if value
    ]
    if rows:
        await write.execute(unscoped(upsert(national_ids), WRITTEN), rows)


async def tokens(connection: AsyncConnection, scope: Scope, customer_id: UUID) -> dict[str, tuple[bytes, bytes]]:
    """By attribute: the token and the digest of a customer's national ids."""
    query = select(national_ids.c.key, national_ids.c.token, national_ids.c.digest)
    query = scope.limit(query.where(national_ids.c.customer_id == customer_id), national_ids.c.customer_id)
    return {row.key: (bytes(row.token), bytes(row.digest)) for row in (await connection.execute(query)).all()}


def opened(keyring: Keyring, key: str, token: bytes) -> str:
    """The national id in clear."""
    return keyring.decrypt(token, place(key)).decode("ascii")


async def forget(write: Write, customer_ids: Sequence[UUID], key: str = "") -> None:
    """Removes the national ids of these customers: those of one attribute, or all."""
    gone = delete(national_ids).where(national_ids.c.customer_id == any_(bindparam(None, [*customer_ids], ARRAY(Uuid))))
    gone = gone.where(national_ids.c.key == key) if key else gone
    await write.execute(unscoped(gone, WRITTEN))
