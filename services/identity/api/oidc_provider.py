"""What is said to the OpenID provider and heard from it."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from authlib.deprecate import AuthlibDeprecationWarning
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.identity.api.sessions_proof import SignInRefused
from services.identity.settings import IdentitySettings
from services.shared.errors import Unavailable
from services.shared.logging import get_logger

with warnings.catch_warnings():
    # Authlib would like a successor of httpx that doesn't run on every Python of ours.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.httpx_client import AsyncOAuth2Client

TIMEOUT_SECONDS = 5.0
FRESH_SECONDS = 3600.0
"""So long what the provider says of itself is believed without asking again."""
LEEWAY_SECONDS = 30
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Of signatures by private keys; a secret that both sides know proves nothing to a third."""


@dataclass(frozen=True)
class Described:
    """The provider's discovery document and its keys, as of `at` (monotonic seconds)."""

    document: Mapping[str, Any]
    keys: KeySet
    at: float


class OidcProvider:
    """The provider of the settings. Raises Unavailable (OIDC_AWAY) where it can't be asked, in every method."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret.get_secret_value()
        self._claim = settings.oidc_login_claim
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        self._known: Described | None = None

    async def close(self) -> None:
        await self._http.aclose()

    async def authorization_url(self, redirect_uri: str, state: str, nonce: str, code_verifier: str) -> str:
        document = (await self._described(FRESH_SECONDS)).document
        async with self._client(document, redirect_uri) as client:
            url, _ = client.create_authorization_url(
                document["authorization_endpoint"], state=state, nonce=nonce, code_verifier=code_verifier
            )
        return str(url)

    async def login_of(self, code: str, redirect_uri: str, nonce: str, code_verifier: str) -> str:
        """The login in the ID token that the code is exchanged for. Raises SignInRefused where it isn't good."""
        document = (await self._described(FRESH_SECONDS)).document
        try:
            async with self._client(document, redirect_uri) as client:
                answer = await client.fetch_token(
                    document["token_endpoint"], code=code, code_verifier=code_verifier, grant_type="authorization_code"
                )
        except OAuthError as error:
            raise SignInRefused("oidc", f"the provider refused the code: {error.error}") from error
        except (httpx.HTTPError, ValueError) as error:
            raise _away(error) from error
        try:
            claims = verified_claims(
                answer["id_token"], await self._keys_for(answer["id_token"]), self._issuer, self._client_id, nonce,
                answer.get("access_token"),
            )  # fmt: skip
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise SignInRefused("oidc", f"the ID token is not good: {error!r:.200}") from error
        login = claims.get(self._claim)
        if not isinstance(login, str) or not login:
            raise SignInRefused("oidc", f"the ID token has no claim {self._claim}")
        return login

    async def _keys_for(self, id_token: str) -> KeySet:
        """The provider's keys; asked for again where they don't fit the token, which the provider has just given us."""
        keys = (await self._described(FRESH_SECONDS)).keys
        try:
            jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        except JoseError:
            keys = (await self._described(0)).keys
        return keys

    async def _described(self, fresh_seconds: float) -> Described:
        if self._known is None or time.monotonic() - self._known.at > fresh_seconds:
            try:
                document = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                if document["issuer"] != self._issuer:
                    raise ValueError("it says that it is another issuer")
                keys = KeySet.import_key_set(await self._get(document["jwks_uri"]))  # type: ignore[arg-type]
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                raise _away(error) from error
            self._known = Described(document, keys, time.monotonic())
        return self._known

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(url)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _client(self, document: Mapping[str, Any], redirect_uri: str) -> Any:
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method,
            scope="openid profile email",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
        )


def verified_claims(
    id_token: str, keys: KeySet, issuer: str, client_id: str, nonce: str, access_token: str | None = None
) -> Mapping[str, Any]:
    """The claims of an ID token. Raises JoseError or ValueError unless it is signed by one of `keys`, by `issuer`, for
    `client_id`, in answer to `nonce`, and not expired.
    """
    token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    parameters = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    claims = CodeIDToken(token.claims, token.header, options, parameters)
    claims.validate(leeway=LEEWAY_SECONDS)
    return dict(claims)


def _away(error: Exception) -> Unavailable:
    get_logger().warning("OpenID provider is away", error=f"{error!r:.200}")
    return Unavailable("OIDC_AWAY", "the OpenID provider does not answer as it should; try again")
