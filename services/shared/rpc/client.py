"""Calls to other services: every one with a deadline and a token."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kejing.identity.v1 import sessions_service_pb2 as identity
from kejing.identity.v1 import sessions_service_pb2_grpc as identity_grpc
from services.shared.errors import Unavailable
from services.shared.rpc.assertion import assertion
from services.shared.rpc.caller import caller, current_token

DEADLINE_SECONDS = 10.0
OPTIONS = [
    ("grpc.keepalive_time_ms", 60_000),
    # A peer that comes back is found within a second; by default a channel waits for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
ON_BEHALF_OF = "x-kejing-on-behalf-of"
ACTING_FOR = "x-kejing-acting-for"


def channel(address: str, *interceptors: grpc.aio.ClientInterceptor) -> grpc.aio.Channel:
    """A channel to host:port; calls without a timeout get one of 10 seconds."""
    return grpc.aio.insecure_channel(address, options=OPTIONS, interceptors=[_Deadline(), *interceptors])


class MachineToken:
    """The access token of the machine `name`, renewed a minute before it expires."""

    def __init__(self, identity_channel: grpc.aio.Channel, key_file: Path, name: str) -> None:
        self._identity = identity_grpc.SessionsServiceStub(identity_channel)
        self._key_file = key_file
        self._subject = f"machine:{name}"
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    async def get(self) -> str:
        if time.time() >= self._renew_at:
            async with self._renewing:  # calls that come at once sign in once
                if time.time() >= self._renew_at:
                    signed = identity.SignInRequest(assertion=assertion(self._key_file, self._subject))
                    answer = await self._identity.SignIn(signed)
                    self._token = answer.access_token
                    self._renew_at = answer.expires_at.seconds - 60
        return self._token

    def forget(self, token: str) -> bool:
        """Says that `token` was refused: the key that signed it was withdrawn. Answers whether another one may help."""
        if token == self._token:
            self._renew_at = 0.0
        return True

    async def metadata(self) -> grpc.aio.Metadata:
        """Signs a call that no interceptor signs: those of streams, which are rare. Always by a new token."""
        self._renew_at = 0.0
        return grpc.aio.Metadata(("authorization", f"Bearer {await self.get()}"))


async def fetch_public_keys(identity_channel: grpc.aio.Channel) -> dict[str, Ed25519PublicKey]:
    """identity's present signing keys, by key id. Raises Unavailable (IDENTITY_AWAY)."""
    stub = identity_grpc.SessionsServiceStub(identity_channel)
    try:
        answer = await stub.GetPublicKeys(identity.GetPublicKeysRequest())
    except grpc.aio.AioRpcError as error:
        raise Unavailable("IDENTITY_AWAY", "identity, whose keys check tokens, does not answer; try again") from error
    return {key.key_id: Ed25519PublicKey.from_public_bytes(key.ed25519) for key in answer.keys}


class AsMachine(grpc.aio.UnaryUnaryClientInterceptor):
    """Signs calls with the machine's token, and names the person that it acts for, if any.

    A call whose token is refused, which has done nothing then, is made once more with a new one.
    """

    def __init__(self, token: MachineToken) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        token = await self._token.get()
        call = await continuation(_signed(details, token), request)
        try:
            refused = await call.code() is grpc.StatusCode.UNAUTHENTICATED
        except asyncio.CancelledError:
            call.cancel()
            raise
        if refused and self._token.forget(token):
            return await continuation(_signed(details, await self._token.get()), request)
        return call


def _signed(details: Any, token: str) -> Any:
    metadata = [("authorization", f"Bearer {token}"), *(details.metadata or ())]
    return details._replace(metadata=grpc.aio.Metadata(*metadata))


class Forwarding(grpc.aio.UnaryUnaryClientInterceptor):
    """Passes the present caller's own token on, so that the other service decides by who asked."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [("authorization", f"Bearer {current_token.get()}"), *(details.metadata or ())]
        if acting_for := caller().acting_for:
            metadata.append((ACTING_FOR, acting_for))
        return await continuation(details._replace(metadata=grpc.aio.Metadata(*metadata)), request)


class _Deadline(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        if details.timeout is None:
            details = details._replace(timeout=DEADLINE_SECONDS)
        return await continuation(details, request)


def on_behalf_of(employee_id: str, acting_for: str = "") -> tuple[tuple[str, str], ...]:
    """Metadata by which a machine names the person that it acts for, and the absent one for whom that person did."""
    named = ((ON_BEHALF_OF, employee_id), (ACTING_FOR, acting_for)) if employee_id else ()
    return tuple((header, value) for header, value in named if value)
