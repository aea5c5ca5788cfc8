"""Every rpc of every service: nobody without a good token, and machines' calls for machines only."""

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from kejing.common.v1 import options_pb2
from services.shared.rpc.tokens import AUDIENCE, ISSUER
from tests.support.refusals import refusal_of
from tests.support.services import RunningServices

PROTOS = Path(__file__).parents[2] / "protos"
SERVED_BY_WORKFLOWS = "kejing.processes."


def rpcs(access: int) -> list[Any]:
    return list(_rpcs(access))


def _rpcs(access: int) -> Iterator[Any]:
    """The rpcs that declare `access`; those that every service offers are tried at one of them."""
    for path in sorted(PROTOS.glob("kejing/**/*.proto")):
        name = path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".")
        for service in importlib.import_module(f"{name}_pb2").DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                declared = method.GetOptions().Extensions[options_pb2.access] == access
                if declared and not name.startswith(SERVED_BY_WORKFLOWS):
                    yield pytest.param(method, id=f"{service.name}.{method.name}")


async def call(services: RunningServices, method: MethodDescriptor, token: str | None) -> grpc.aio.AioRpcError | None:
    """Calls with an empty request; answers the refusal."""
    area = method.full_name.split(".")[1]
    part = area if area in services.ports else "customers"
    await services.start(part)
    request = message_factory.GetMessageClass(method.input_type)
    answer = message_factory.GetMessageClass(method.output_type)
    service, name = method.full_name.rsplit(".", 1)
    metadata = [("authorization", f"Bearer {token}")] if token is not None else []
    async with grpc.aio.insecure_channel(services.address(part)) as channel:
        open_channel: Any = channel
        options: Any = {"request_serializer": request.SerializeToString, "response_deserializer": answer.FromString}
        try:
            if method.client_streaming:
                await open_channel.stream_unary(f"/{service}/{name}", **options)(iter([request()]), metadata=metadata)
            elif method.server_streaming:
                async for _ in open_channel.unary_stream(f"/{service}/{name}", **options)(request(), metadata=metadata):
                    pass
            else:
                await open_channel.unary_unary(f"/{service}/{name}", **options)(request(), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error
    return None


FORGED = jwt.encode(
    {"iss": ISSUER, "aud": AUDIENCE, "sub": "machine:workers", "sid": "s", "exp": int(time.time()) + 600},
    Ed25519PrivateKey.generate(),
    algorithm="EdDSA",
    headers={"kid": "k"},
)


@pytest.mark.parametrize("method", [*rpcs(options_pb2.ACCESS_EMPLOYEE), *rpcs(options_pb2.ACCESS_MACHINE)])
async def test_a_call_without_a_good_token_is_refused(services: RunningServices, method: MethodDescriptor) -> None:
    missing = await call(services, method, None)
    assert missing is not None
    assert (missing.code().name, refusal_of(missing).reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")
    forged = await call(services, method, FORGED)
    assert forged is not None
    assert (forged.code().name, refusal_of(forged).reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


@pytest.mark.parametrize("method", rpcs(options_pb2.ACCESS_MACHINE))
async def test_an_employee_may_not_call_what_is_for_machines(
    services: RunningServices, method: MethodDescriptor
) -> None:
    refused = await call(services, method, await services.sign_in("employee:admin"))
    assert refused is not None
    assert (refused.code().name, refusal_of(refused).reason) == ("PERMISSION_DENIED", "MACHINES_ONLY")


@pytest.mark.parametrize("method", rpcs(options_pb2.ACCESS_PUBLIC))
async def test_only_signing_in_answers_without_a_token(services: RunningServices, method: MethodDescriptor) -> None:
    refused = await call(services, method, None)
    assert refused is None or refusal_of(refused).reason not in ("TOKEN_MISSING", "TOKEN_INVALID")
