"""Proof by the company's OpenID provider: authorization code with PKCE, state and nonce."""

import secrets
from typing import TYPE_CHECKING

from kejing.identity.v1 import sessions_service_pb2 as pb
from services.identity.api.sessions_proof import IDENTITY, SignInRefused
from services.identity.settings import IdentitySettings
from services.identity.storage import oidc_sign_ins
from services.shared.db import Database
from services.shared.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from services.identity.api.oidc_provider import OidcProvider


class OidcSignIn:
    """Sign-ins by the provider that the settings name; refused where they name none."""

    def __init__(self, db: Database, settings: IdentitySettings) -> None:
        self._db = db
        self._redirect_uris = settings.oidc_redirect_uris
        self._configured: OidcProvider | None = None
        if settings.oidc_issuer:
            # Its libraries are large, and few installations need them.
            from services.identity.api import oidc_provider

            self._configured = oidc_provider.OidcProvider(settings)

    async def close(self) -> None:
        if self._configured:
            await self._configured.close()

    async def start(self, redirect_uri: str) -> tuple[str, str]:
        """Where to send the browser, and the state with which the provider will send it back.

        Raises FailedPrecondition: OIDC_NOT_CONFIGURED; InvalidArgument: REDIRECT_URI_NOT_ALLOWED; Unavailable:
        OIDC_AWAY.
        """
        provider = self._provider()
        if redirect_uri not in self._redirect_uris:
            allowed = "it must be one of KEJING_OIDC_REDIRECT_URIS"
            raise InvalidArgument("redirect_uri", redirect_uri, allowed, "REDIRECT_URI_NOT_ALLOWED")
        state, nonce, code_verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = await provider.authorization_url(redirect_uri, state, nonce, code_verifier)
        async with self._db.transaction(actor=IDENTITY) as write:
            await oidc_sign_ins.add(write, state, nonce, code_verifier, redirect_uri)
        return url, state

    async def login_of(self, answer: pb.OidcAnswer) -> str:
        """The login that the provider vouches for. Raises SignInRefused; FailedPrecondition: OIDC_NOT_CONFIGURED;
        Unavailable: OIDC_AWAY.
        """
        provider = self._provider()
        async with self._db.transaction(actor=IDENTITY) as write:
            begun = await oidc_sign_ins.take(write, answer.state)
        if begun is None:
            raise SignInRefused("oidc", "an unknown, used or expired state")
        return await provider.login_of(answer.code, begun.redirect_uri, begun.nonce, begun.code_verifier)

    def _provider(self) -> "OidcProvider":
        if self._configured is None:
            raise FailedPrecondition("OIDC_NOT_CONFIGURED", "this installation names no OpenID provider")
        return self._configured
