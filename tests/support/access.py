"""Every rpc of a running part, found by its reflection, and calls of them with tokens of all kinds."""

import asyncio
import base64
import importlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kejing.common.v1 import options_pb2, permission_pb2
from kejing.identity.v1 import sessions_service_pb2 as sessions_pb
from services.identity.storage.signing_keys import SigningKeys
from services.shared.ids import new_id
from services.shared.rpc.interceptor import LIBRARY_PREFIXES
from services.shared.rpc.tokens import AUDIENCE, ISSUER
from tests.support.doors import Door, bearer
from tests.support.eventually import eventually
from tests.support.refusals import refusal_of
from tests.support.services import RunningServices

PROTOS = Path(__file__).parents[2] / "protos"
MACHINES = {number: name.removeprefix("MACHINE_").lower() for name, number in options_pb2.Machine.items() if number}
PERMISSIONS = sorted(
    set(permission_pb2.Permission.values())
    - {permission_pb2.PERMISSION_UNSPECIFIED, permission_pb2.PERMISSION_SIGNED_IN}
)
Outcome = tuple[str, str]
"""(status, reason) of a refusal; ("OK", "") of an answer."""


@dataclass(frozen=True)
class Rpc:
    """An rpc as it is declared, and its path."""

    method: MethodDescriptor
    access: Any

    @property
    def path(self) -> str:
        service, name = self.method.full_name.rsplit(".", 1)
        return f"/{service}/{name}"

    @property
    def machines(self) -> set[str]:
        """The machines that may call it."""
        return set(MACHINES.values()) if self.access.any_machine else {MACHINES[m] for m in self.access.machines}

    @property
    def declared(self) -> bool:
        return bool(self.access.public or self.access.permission or self.machines)


def contracts() -> set[str]:
    """The full names of all services of the contracts."""
    names: set[str] = set()
    for path in PROTOS.glob("kejing/**/*.proto"):
        module = path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".")
        for service in importlib.import_module(f"{module}_pb2").DESCRIPTOR.services_by_name.values():
            names.add(service.full_name)
    return names


@dataclass
class Part:
    """A running part as its callers reach it."""

    name: str
    channel: Any
    rpcs: list[Rpc]

    async def call(self, rpc: Rpc, token: str | None) -> Outcome:
        """Calls with an empty request."""
        request = message_factory.GetMessageClass(rpc.method.input_type)
        answer = message_factory.GetMessageClass(rpc.method.output_type)
        options: Any = {"request_serializer": request.SerializeToString, "response_deserializer": answer.FromString}
        metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        try:
            if rpc.method.client_streaming:
                call = self.channel.stream_unary(rpc.path, **options)
                await call(iter([request()]), metadata=metadata, timeout=20)
            elif rpc.method.server_streaming:
                call = self.channel.unary_stream(rpc.path, **options)
                async for _ in call(request(), metadata=metadata, timeout=20):
                    break
            else:
                await self.channel.unary_unary(rpc.path, **options)(request(), metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code().name, refusal_of(error).reason
        return "OK", ""

    async def outcomes(self, rpcs: Iterable[Rpc], token: str | None) -> dict[str, Outcome]:
        """What each rpc answers, by its path."""
        rpcs = list(rpcs)
        found = await asyncio.gather(*(self.call(rpc, token) for rpc in rpcs))
        return {rpc.path: outcome for rpc, outcome in zip(rpcs, found, strict=True)}


@asynccontextmanager
async def part_at(name: str, address: str) -> AsyncIterator[Part]:
    """The part that listens at `address`, with the rpcs that its reflection lists."""
    contracts()
    async with grpc.aio.insecure_channel(address) as channel:
        yield Part(name, channel, [rpc async for rpc in _reflected(channel)])


async def _reflected(channel: Any) -> AsyncIterator[Rpc]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([request])):
        for listed in answer.list_services_response.service:
            if not f"/{listed.name}".startswith(LIBRARY_PREFIXES):
                for method in descriptor_pool.Default().FindServiceByName(listed.name).methods:
                    yield Rpc(method, method.GetOptions().Extensions[options_pb2.access])


async def bad_tokens(services: RunningServices) -> dict[str, str]:
    """Tokens for a person who may do everything, each wrong in one way; by the reason that it is refused with."""
    db, key_file = services.db("identity"), services.infrastructure.machine_key_file("identity")
    key = await SigningKeys(db, key_file).current()
    admin = jwt.decode(await services.sign_in("employee:admin"), options={"verify_signature": False})

    def token(signed_by: Any = key.private, kid: str = key.key_id, algorithm: str = "EdDSA", **changes: Any) -> str:
        return jwt.encode({**admin, **changes}, signed_by, algorithm=algorithm, headers={"kid": kid})

    public = key.private.public_key().public_bytes_raw()
    unsigned = {"alg": "none", "typ": "JWT", "kid": key.key_id}
    return {
        "expired": token(exp=int(time.time()) - 1),
        "of the wrong audience": token(aud=AUDIENCE + "-other"),
        "of the wrong issuer": token(iss=ISSUER + "-other"),
        "signed by another key under a known id": token(Ed25519PrivateKey.generate()),
        "of an unknown key": token(Ed25519PrivateKey.generate(), kid=str(new_id())),
        "signed with the public key as a secret": token(public, algorithm="HS256"),
        "without a signature": f"{_part(unsigned)}.{_part(admin)}.",
        "with a changed subject": _with_claims(token(), {**admin, "sub": "machine:identity"}),
        "without an end": jwt.encode({name: value for name, value in admin.items() if name != "exp"}, key.private,
                                     algorithm="EdDSA", headers={"kid": key.key_id}),
        "no token at all": "nonsense",
    }  # fmt: skip


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _with_claims(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_part(claims)}.{signature}"


async def tokens_without(services: RunningServices, permissions: Sequence[int]) -> dict[int, str]:
    """Per permission the token of an employee who holds every other one, for all customers."""
    door = await Door.of(services)
    logins = {number: await door.person_with_role([p for p in PERMISSIONS if p != number], permission_pb2.SCOPE_ALL)
              for number in permissions}  # fmt: skip
    return {number: (await door.command(person.login)).access_token for number, person in logins.items()}


async def token_of_department(services: RunningServices) -> str:
    """The token of an employee who may do everything, for the customers of his department."""
    door = await Door.of(services)
    person = await door.person_with_role(PERMISSIONS, permission_pb2.SCOPE_DEPARTMENT)
    return str((await door.command(person.login)).access_token)


async def machine_tokens(services: RunningServices) -> dict[str, str]:
    return {name: await services.sign_in(f"machine:{name}") for name in MACHINES.values()}


async def refuses_bad_tokens(part: Part, bad: Mapping[str, str]) -> None:
    """`bad` as of `bad_tokens`."""
    closed = [rpc for rpc in part.rpcs if not rpc.access.public]
    missing = await part.outcomes(closed, None)
    assert missing == dict.fromkeys(missing, ("UNAUTHENTICATED", "TOKEN_MISSING"))
    for kind, token in bad.items():
        found = await part.outcomes(closed, token)
        reason = "TOKEN_EXPIRED" if kind == "expired" else "TOKEN_INVALID"
        assert found == dict.fromkeys(found, ("UNAUTHENTICATED", reason)), kind


async def refuses_other_machines(part: Part, tokens: Mapping[str, str]) -> None:
    """`tokens`: each machine's."""
    for name, token in tokens.items():
        others = [rpc for rpc in part.rpcs if not rpc.access.public and name not in rpc.machines]
        found = await part.outcomes(others, token)
        assert found == dict.fromkeys(found, ("PERMISSION_DENIED", "MACHINE_NOT_ALLOWED")), name


async def refuses_employees(part: Part, token: str) -> None:
    """`token`: of an employee who may do everything."""
    found = await part.outcomes([rpc for rpc in part.rpcs if rpc.machines and not rpc.access.permission], token)
    assert found == dict.fromkeys(found, ("PERMISSION_DENIED", "MACHINES_ONLY"))


async def refuses_other_permissions(part: Part, without: Mapping[int, str]) -> None:
    """`without` as of `tokens_without`."""
    guarded = [rpc for rpc in part.rpcs if rpc.access.permission not in (0, permission_pb2.PERMISSION_SIGNED_IN)]
    for permission in {rpc.access.permission for rpc in guarded}:
        theirs = [rpc for rpc in guarded if rpc.access.permission == permission]
        found = await part.outcomes(theirs, without[permission])
        assert found == dict.fromkeys(found, ("PERMISSION_DENIED", "PERMISSION_MISSING"))


async def refuses_smaller_scope(part: Part, of_department: str) -> None:
    """`of_department` as of `token_of_department`."""
    found = await part.outcomes([rpc for rpc in part.rpcs if rpc.access.whole], of_department)
    assert found == dict.fromkeys(found, ("PERMISSION_DENIED", "SCOPE_TOO_SMALL"))


async def refuses_ended_session(part: Part, services: RunningServices) -> None:
    """At most 5 seconds after it has ended."""
    door = await Door.of(services)
    token = (await door.command("admin")).access_token
    guarded = [rpc for rpc in part.rpcs if rpc.access.permission]
    known = next((rpc for rpc in guarded if rpc.method.name.startswith(("List", "Get"))), guarded[0])
    assert (await part.call(known, token))[1] != "SESSION_REVOKED"
    await door.sessions.SignOut(sessions_pb.SignOutRequest(), metadata=bearer(token))

    async def ended() -> bool:
        return (await part.call(known, token))[1] == "SESSION_REVOKED"

    await eventually(ended, within=5)
    found = await part.outcomes(guarded, token)
    assert found == dict.fromkeys(found, ("UNAUTHENTICATED", "SESSION_REVOKED"))
