"""Access tokens: EdDSA JWTs that say who, not what. Every process checks them itself, by identity's public keys."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.shared.errors import Unauthenticated
from services.shared.rpc.caller import Caller

AUDIENCE = "kejing"
ISSUER = "kejing-identity"
REMEMBERED = 10_000
CLOCKS_DIFFER_SECONDS = 10.0
AGAIN_SECONDS = 1.0
"""An unknown key makes us ask for the keys, but not more often than this: forgeries cost identity nothing."""

PublicKeys = Callable[[], Awaitable[dict[str, Ed25519PublicKey]]]
"""Answers the keys that tokens may be signed with now, by key id."""


class TokenVerifier:
    """Checks tokens; a token that was found good is remembered until it expires, or its key is withdrawn."""

    def __init__(self, public_keys: PublicKeys) -> None:
        self._public_keys = public_keys
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._asked_at = self._tried_at = 0.0
        self._next: asyncio.Task[None] | None = None
        self._remembered: dict[str, Caller] = {}

    async def verify(self, token: str) -> Caller:
        """The caller that the token names. Raises Unauthenticated: TOKEN_EXPIRED or TOKEN_INVALID."""
        known = self._remembered.get(token)
        if known is not None:
            if known.expires_at > time.time():
                return known
            del self._remembered[token]
            raise Unauthenticated("TOKEN_EXPIRED", "the access token has expired; sign in again or refresh it")
        caller = await self._check(token)
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[token] = caller
        return caller

    async def refresh(self) -> None:
        """Asks for the keys again. Where one was withdrawn, no token is remembered any longer."""
        asked_at = time.time()
        keys = await self._public_keys()
        self._asked_at = asked_at
        if self._keys.keys() - keys.keys():
            self._remembered.clear()
        self._keys = keys

    async def _check(self, token: str) -> Caller:
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid", ""))
            claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER,
                                options={"require": ["exp", "sub", "sid"], "verify_iat": False})  # fmt: skip
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(
                "TOKEN_EXPIRED", "the access token has expired; sign in again or refresh it"
            ) from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("TOKEN_INVALID", "the access token is not valid") from error
        return Caller(subject=claims["sub"], session=claims["sid"], expires_at=float(claims["exp"]))

    async def _key(self, key_id: str) -> Ed25519PublicKey:
        # A key that is not known may be a new one. The keys are asked for at most once a second, so that forgeries cost
        # identity nothing; whoever comes in between with what may be a new key waits for the next time.
        if key_id not in self._keys and self._may_be_new(key_id):
            if self._next is None or self._next.done():
                self._next = asyncio.create_task(self._ask_again())
            await asyncio.shield(self._next)
        if key_id not in self._keys:
            raise Unauthenticated("TOKEN_INVALID", "the access token is not valid")
        return self._keys[key_id]

    def _may_be_new(self, key_id: str) -> bool:
        """Whether the key may have been made after identity was asked last: its id, a UUIDv7, begins with the time."""
        try:
            made_at = (UUID(key_id).int >> 80) / 1000
        except ValueError:
            return False
        return made_at > self._asked_at - CLOCKS_DIFFER_SECONDS

    async def _ask_again(self) -> None:
        await asyncio.sleep(max(0.0, min(self._tried_at + AGAIN_SECONDS - time.time(), AGAIN_SECONDS)))
        self._tried_at = time.time()
        await self.refresh()
