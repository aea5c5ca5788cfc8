"""Asserting that a call is refused, with which status, reason and fields."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class Refused:
    """`code`: the status' name; `fields`: the fields or preconditions that the details name."""

    code: str
    reason: str
    message: str
    fields: tuple[str, ...]
    metadata: dict[str, str]


async def refused(call: Awaitable[Any]) -> Refused:
    """The refusal that `call` ends with; fails where it is answered."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal_of(caught.value)


async def reason_of(call: Awaitable[Any]) -> str:
    """The reason that `call` is refused for; "" where it is answered."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason
    return ""


def refusal_of(error: grpc.aio.AioRpcError) -> Refused:
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value if isinstance(value, bytes) else value.encode())
    info, bad, precondition = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.PreconditionFailure(),
    )
    for detail in status.details:
        for message in (info, bad, precondition):
            detail.Unpack(message)
    fields = [v.field for v in bad.field_violations] + [v.subject for v in precondition.violations]
    return Refused(error.code().name, info.reason, error.details() or "", tuple(fields), dict(info.metadata))
