"""Definitions of custom attributes for tests."""

import uuid
from typing import Any

from kejing.customers.v1 import attributes_service_pb2 as pb
from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
from tests.support.customers import fresh
from tests.support.services import RunningServices


def key_of(word: str = "a") -> str:
    """A key that no other attribute has."""
    return f"{word}_{uuid.uuid4().hex[:10]}"


def attribute(kind: str, **more: Any) -> pb.CreateAttributeRequest:
    """A request for an attribute of this AttributeType, without its prefix."""
    said = {"key": key_of(), "label": "Label", "purpose": "Purpose", **more}
    wanted = pb.Attribute(type=pb.AttributeType.Value(f"ATTRIBUTE_TYPE_{kind}"), **said)
    return pb.CreateAttributeRequest(request_id=fresh(), attribute=wanted)


async def define(services: RunningServices, kind: str, **more: Any) -> pb.Attribute:
    stub = await services.stub(AttributesServiceStub)
    return (await stub.CreateAttribute(attribute(kind, **more))).attribute  # type: ignore[no-any-return]


async def retire(services: RunningServices, key: str) -> None:
    stub = await services.stub(AttributesServiceStub)
    await stub.RetireAttribute(pb.RetireAttributeRequest(request_id=fresh(), key=key))
