"""SessionsService: signing in and out, access tokens, and the keys that check them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1 import sessions_service_pb2_grpc
from services.identity.api.authority import require_authority_over
from services.identity.api.oidc import OidcSignIn
from services.identity.api.passwords import Passwords
from services.identity.api.sessions_proof import IDENTITY, Proven, SignInRefused, record
from services.identity.api.tokens import AssertionRefused, access_token, read_assertion
from services.identity.domain.passwords import normalised_login, vouched_login
from services.identity.settings import IdentitySettings
from services.identity.storage import passwords, sessions
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import utc_now
from services.shared.db import Database, Write
from services.shared.errors import Unauthenticated
from services.shared.ids import new_id
from services.shared.logging import get_logger
from services.shared.rpc.assertion import public_key_of
from services.shared.rpc.caller import caller


@dataclass(frozen=True)
class Tokens:
    """Of a session; `refresh` is "" for machines."""

    access: str
    expires_at: datetime
    refresh: str


class SessionsServicer(sessions_service_pb2_grpc.SessionsServiceServicer):
    """Assertions and access tokens live by the machine's own clock, because everybody who checks them goes by it."""

    def __init__(self, db: Database, keys: SigningKeys, proofs: Passwords, settings: IdentitySettings) -> None:
        self._db = db
        self._keys = keys
        self._passwords = proofs
        self._oidc = OidcSignIn(db, settings)
        self._command_key = public_key_of(settings.command_key_file)
        self._machine_keys = settings.machine_keys

    async def close(self) -> None:
        await self._oidc.close()

    async def SignIn(self, request: pb.SignInRequest, context: Any) -> pb.SignInResponse:
        try:
            tokens = await self._signed_in(await self._proven(request))
        except SignInRefused as refused:
            raise await self._refusal(refused) from refused
        return filled(pb.SignInResponse(), tokens)

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Any) -> pb.ChangePasswordResponse:
        try:
            proven = await self._passwords.check(request.password, may_be_temporary=True)
            hashed = await self._passwords.new_hash(request.password, request.new_password)
            tokens = await self._signed_in(proven, new_hash=hashed)
        except SignInRefused as refused:
            raise await self._refusal(refused) from refused
        return filled(pb.ChangePasswordResponse(), tokens)

    async def StartOidcSignIn(self, request: pb.StartOidcSignInRequest, context: Any) -> pb.StartOidcSignInResponse:
        url, state = await self._oidc.start(request.redirect_uri)
        return pb.StartOidcSignInResponse(authorization_url=url, state=state)

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Any) -> pb.RefreshTokenResponse:
        refused = Unauthenticated("REFRESH_REFUSED", "the refresh token is not valid (any more); sign in again")
        key, token = await self._keys.current(), request.refresh_token
        async with self._db.transaction(actor=IDENTITY) as write:
            session = await sessions.lock_session_of(write, token)
            known = await sessions.refresh_token_of(write, session.id, token) if session else None
            if session is None or known is None:
                raise refused
            used = known.used_at is not None
            if not used:
                if session.revoked_at is not None or known.expires_at <= write.now or not known.active:
                    raise refused
                refresh = await sessions.rotate(write, session, token)
        if used:
            await self._end_stolen(session.id, session.employee_id)
            raise refused
        access, expires_at = access_token(key, str(session.employee_id), session.id, utc_now())
        return filled(pb.RefreshTokenResponse(), Tokens(access, expires_at, refresh))

    async def SignOut(self, request: pb.SignOutRequest, context: Any) -> pb.SignOutResponse:
        async with self._db.transaction() as write:
            _about(write, caller().session)
            await sessions.revoke(write, [UUID(caller().session)])
        return pb.SignOutResponse()

    async def SignOutEverywhere(
        self, request: pb.SignOutEverywhereRequest, context: Any
    ) -> pb.SignOutEverywhereResponse:
        # One's own sessions, also where one acts for somebody.
        async with self._db.transaction() as write:
            _about(write, str(caller().person_id))
            await passwords.lock_holder(write, caller().person_id)
            ended = await sessions.revoke_all(write, caller().person_id)
        return pb.SignOutEverywhereResponse(sessions=len(ended))

    async def RevokeSessions(self, request: pb.RevokeSessionsRequest, context: Any) -> pb.RevokeSessionsResponse:
        employee_id = UUID(request.employee_id)
        async with self._db.transaction() as write:
            await require_authority_over(write.connection, employee_id)
            await passwords.lock_holder(write, employee_id)
            ended = await sessions.revoke_all(write, employee_id)
        return pb.RevokeSessionsResponse(sessions=len(ended))

    async def GetPublicKeys(self, request: pb.GetPublicKeysRequest, context: Any) -> pb.GetPublicKeysResponse:
        keys = await self._keys.public()
        return pb.GetPublicKeysResponse(
            keys=[pb.PublicKey(key_id=key_id, ed25519=key.public_bytes_raw()) for key_id, key in keys.items()],
            jwks=jwks(keys),
        )

    async def RotateSigningKey(self, request: pb.RotateSigningKeyRequest, context: Any) -> pb.RotateSigningKeyResponse:
        async with self._db.transaction() as write:
            key = await self._keys.rotate(write, compromised=request.compromised)
            _about(write, key.key_id)
        return pb.RotateSigningKeyResponse(key_id=key.key_id)

    async def _proven(self, request: pb.SignInRequest) -> Proven:
        match request.WhichOneof("proof"):
            case "password":
                return await self._passwords.check(request.password)
            case "oidc":
                return await self._employee("oidc", vouched_login(await self._oidc.login_of(request.oidc)))
            case _:
                return await self._asserted(request.assertion)

    async def _asserted(self, text: str) -> Proven:
        try:
            assertion = read_assertion(text, self._command_key, self._machine_keys, utc_now())
        except AssertionRefused as refused:
            raise SignInRefused("assertion", str(refused)) from refused
        proof = "machine" if assertion.kind == "machine" else "command"
        async with self._db.transaction(actor=IDENTITY) as write:
            first = await sessions.claim_assertion(write, assertion.jti, assertion.expires_at)
        if not first:
            raise SignInRefused(proof, "the assertion was used before")
        if assertion.kind == "machine":
            return Proven(proof, machine=assertion.name)
        return await self._employee(proof, normalised_login(assertion.name))

    async def _employee(self, proof: str, login: str) -> Proven:
        async with self._db.transaction(actor=IDENTITY) as write:
            holder = await passwords.holder(write, login)
        if holder is None:
            raise SignInRefused(proof, "no employee of that login")
        return Proven(proof, holder.id)

    async def _signed_in(self, proven: Proven, *, new_hash: str = "") -> Tokens:
        """Opens the session. `new_hash`: of the password that shall hold from now on; all other sessions end."""
        key, session_id, refresh = await self._keys.current(), new_id(), ""
        async with self._db.transaction() as write:
            record(write, proven.proof, proven.subject, "signed in", session=str(session_id))
            if proven.employee_id:
                holder = await passwords.lock_holder(write, proven.employee_id)
                if holder is None or not holder.active or (proven.hash and holder.hash != proven.hash):
                    raise SignInRefused(proven.proof, "inactive, or a new password meanwhile", proven.employee_id)
                if new_hash:
                    await passwords.put_password(write, proven.employee_id, new_hash, must_change=False)
                    await sessions.revoke_all(write, proven.employee_id)
                elif proven.rehashed:
                    await passwords.put_rehashed(write, proven.employee_id, proven.rehashed)
                refresh = await sessions.open_session(write, session_id, proven.employee_id)
            access, expires_at = access_token(key, proven.subject, session_id, utc_now())
        get_logger().info("signed in", subject=proven.subject, session=str(session_id), proof=proven.proof)
        return Tokens(access, expires_at, refresh)

    async def _refusal(self, refused: SignInRefused) -> Exception:
        """Writes the refused attempt down; answers what the caller is told."""
        who = str(refused.employee_id) if refused.employee_id else ""
        async with self._db.transaction() as write:
            record(write, refused.proof, who, refused.refusal.reason, cause=refused.cause)
        get_logger().warning("sign-in refused", proof=refused.proof, cause=refused.cause, subject=who)
        return refused.refusal

    async def _end_stolen(self, session_id: UUID, employee_id: UUID) -> None:
        """Two hold a refresh token that only one was given: whoever stole it, the session ends for both."""
        async with self._db.transaction() as write:
            record(write, "refresh token", str(employee_id), "used twice: the session ended", session=str(session_id))
            await passwords.lock_holder(write, employee_id)
            await sessions.revoke(write, [session_id])
        get_logger().warning("refresh token used twice", session=str(session_id))


def filled(answer: Any, tokens: Tokens) -> Any:
    answer.access_token, answer.refresh_token = tokens.access, tokens.refresh
    answer.expires_at.FromDatetime(tokens.expires_at)
    return answer


def jwks(keys: Mapping[str, Ed25519PublicKey]) -> str:
    """The keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    encoded = {key_id: base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=") for key_id, key in keys.items()}
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key_id,
                                 "x": x.decode()} for key_id, x in encoded.items()]})  # fmt: skip


def _about(write: Write, object_id: str) -> None:
    if write.doing:
        write.doing.object_id = object_id
