"""Access tokens: EdDSA JWTs that say who, not what. Every process checks them itself, by identity's public keys."""

import time
from collections.abc import Awaitable, Callable

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.shared.errors import Unauthenticated
from services.shared.rpc.caller import Caller

AUDIENCE = "kejing"
ISSUER = "kejing-identity"
REMEMBERED = 10_000

PublicKeys = Callable[[], Awaitable[dict[str, Ed25519PublicKey]]]
"""Answers the keys that tokens may be signed with now, by key id."""


class TokenVerifier:
    """Checks tokens; a token that was found good is remembered until it expires."""

    def __init__(self, public_keys: PublicKeys) -> None:
        self._public_keys = public_keys
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched_at = float("-inf")
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

    async def _check(self, token: str) -> Caller:
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid", ""))
            claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER,
                                options={"require": ["exp", "sub", "sid"]})  # fmt: skip
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(
                "TOKEN_EXPIRED", "the access token has expired; sign in again or refresh it"
            ) from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("TOKEN_INVALID", "the access token is not valid") from error
        return Caller(subject=claims["sub"], session=claims["sid"], expires_at=float(claims["exp"]))

    async def _key(self, key_id: str) -> Ed25519PublicKey:
        # An unknown key may be a new one; asked for at most once a second, so that forgeries cost identity nothing.
        if key_id not in self._keys and time.monotonic() - self._fetched_at > 1:
            self._keys = await self._public_keys()
            self._fetched_at = time.monotonic()
        if key_id not in self._keys:
            raise Unauthenticated("TOKEN_INVALID", "the access token is not valid")
        return self._keys[key_id]
