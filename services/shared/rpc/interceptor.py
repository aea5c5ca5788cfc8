"""What happens around every rpc: who calls, may he, is the request valid, what came of it.

One interceptor, so that a call is wrapped once: token → caller, declared access → grant, protovalidate rules, domain
refusals → gRPC status with details, one log line.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import grpc
import protovalidate
import psycopg
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from psycopg.errors import UntranslatableCharacter
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kejing.common.v1 import options_pb2, permission_pb2
from services.shared.access.directory import Grants
from services.shared.errors import InvalidArgument, PermissionDenied, Refusal, Unauthenticated, Unavailable, Violation
from services.shared.logging import bind, get_logger
from services.shared.rpc.caller import MACHINE, NOBODY, Call, Caller, current_call, current_caller, current_token
from services.shared.rpc.client import ACTING_FOR, ON_BEHALF_OF
from services.shared.rpc.tokens import TokenVerifier

DOMAIN = "kejing"
LONGEST_REQUEST_ID = 100
"""As in the contracts; the log's line is written also for whoever got no further than the door."""
LARGEST_DETAILS = 4000
"""Bytes of violations in a status. It travels as metadata, of which gRPC's clients take 8 KB; beyond, they see another
error than ours."""
ENTRY = 8
"""Bytes that each violation takes beside its texts."""
LONGEST_KEY = 60
LIBRARY_PREFIXES = ("/grpc.health.", "/grpc.reflection.")
_LOG = get_logger()


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call an rpc, as its contract declares (kejing.common.v1.Access)."""

    public: bool
    permission: int
    whole: bool
    machines: frozenset[str]
    any_machine: bool

    @classmethod
    def of(cls, access: options_pb2.Access) -> "Rule":
        names = (options_pb2.Machine.Name(machine).removeprefix("MACHINE_").lower() for machine in access.machines)
        return cls(access.public, access.permission, access.whole, frozenset(names), access.any_machine)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """`rules`: who may call each rpc ("/package.Service/Method"); an rpc that is not in it is refused."""

    def __init__(self, verifier: TokenVerifier, grants: Grants, rules: Mapping[str, Rule]) -> None:
        self._verifier = verifier
        self._grants = grants
        self._rules = rules
        self._wrapped: dict[str, grpc.RpcMethodHandler] = {}

    async def intercept_service(self, continuation: Callable[..., Any], details: Any) -> Any:
        method: str = details.method
        if method.startswith(LIBRARY_PREFIXES):
            return await continuation(details)
        if method not in self._wrapped:
            handler = await continuation(details)
            if handler is None:
                return None
            self._wrapped[method] = self._wrap(handler, method)
        return self._wrapped[method]

    def _wrap(self, handler: Any, method: str) -> Any:
        serialization = {"request_deserializer": handler.request_deserializer,
                         "response_serializer": handler.response_serializer}  # fmt: skip
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, method), **serialization)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._upload(handler.stream_unary, method), **serialization)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._download(handler.unary_stream, method), **serialization)
        raise TypeError(f"{method}: streams in both directions are not offered")

    def _unary(self, call: Any, method: str) -> Any:
        async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            started = time.perf_counter()
            try:
                await self._enter(context, method, request)
                check(request)
                answer = await call(request, context)
            except Exception as error:
                await self._refuse(context, method, started, request, error)
            else:
                _log(method, "OK", started, request)
                return answer

        return unary

    def _upload(self, call: Any, method: str) -> Any:
        async def upload(requests: AsyncIterator[Message], context: grpc.aio.ServicerContext) -> Any:
            async def checked() -> AsyncIterator[Message]:
                async for request in requests:
                    check(request)
                    if (under_way := current_call.get()) and under_way.request is None:
                        under_way.request = request
                    yield request

            started = time.perf_counter()
            try:
                await self._enter(context, method)
                answer = await call(checked(), context)
            except Exception as error:
                await self._refuse(context, method, started, None, error)
            else:
                _log(method, "OK", started, None)
                return answer

        return upload

    def _download(self, call: Any, method: str) -> Any:
        async def download(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            started = time.perf_counter()
            try:
                await self._enter(context, method, request)
                check(request)
                async for answer in call(request, context):
                    yield answer
            except Exception as error:
                await self._refuse(context, method, started, request, error)
            else:
                _log(method, "OK", started, request)

        return download

    async def _enter(self, context: grpc.aio.ServicerContext, method: str, request: Any = None) -> None:
        """Sets the call and its caller. Raises Unauthenticated or PermissionDenied."""
        current_call.set(Call(method, request))
        rule = self._rules[method]
        peer = _address(context.peer())
        if rule.public:
            current_caller.set(replace(NOBODY, peer=peer))
            return
        metadata = dict(context.invocation_metadata() or ())
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("TOKEN_MISSING", "this call needs the header authorization: Bearer <access token>")
        known = await self._verifier.verify(token)
        current_token.set(token)
        on_behalf_of, acting_for = "", _id(str(metadata.get(ACTING_FOR, "")))
        if known.is_machine:
            if not (rule.any_machine or known.machine in rule.machines):
                raise PermissionDenied("MACHINE_NOT_ALLOWED", f"{known.subject} has no need of this call")
            on_behalf_of, grant = str(metadata.get(ON_BEHALF_OF, "")), MACHINE
            acting_for = acting_for if on_behalf_of else ""
        elif not rule.permission:
            raise PermissionDenied("MACHINES_ONLY", "this call is for the product's own processes")
        else:
            grant = await self._grants.of(known, acting_for)
            if rule.permission not in grant.permissions:
                name = permission_pb2.Permission.Name(rule.permission)  # type: ignore[arg-type]
                raise PermissionDenied("PERMISSION_MISSING", f"your role does not hold {name}", permission=name)
            if rule.whole and not grant.scope.everything:
                raise PermissionDenied(
                    "SCOPE_TOO_SMALL", "this concerns every customer, and your role shows a part of them"
                )
        current_caller.set(
            Caller(known.subject, known.session, known.expires_at, on_behalf_of, acting_for, grant, peer)
        )

    async def _refuse(
        self, context: grpc.aio.ServicerContext, method: str, started: float, request: Any, error: Exception
    ) -> None:
        """Ends the call with the status that `error` stands for."""
        match error:
            case Refusal():
                refusal = error
            case OperationalError() | InterfaceError() | PoolTimeout() | psycopg.OperationalError():
                get_logger().error("database is away", method=method, error=type(error).__name__)
                refusal = Unavailable(
                    "DATABASE_AWAY", "the database does not answer; try again with the same request_id"
                )
            case DataError() if "NUL" in str(error.orig) or isinstance(error.orig, UntranslatableCharacter):
                refusal = InvalidArgument("request", "\0", "its texts must not hold this character")
            case grpc.aio.AbortError():
                raise error
            case _:
                with bind(method=method):
                    get_logger().error("call failed", exc_info=error)
                refusal = Refusal("INTERNAL", "the call failed in a way that was not foreseen; the log holds more")
                refusal.code = "INTERNAL"
        _log(method, refusal.code, started, request, reason=refusal.reason)
        await context.abort_with_status(rpc_status.to_status(to_status(refusal)))


def _address(peer: str) -> str:
    """The host of gRPC's "ipv4:127.0.0.1:50123" or "ipv6:%5B::1%5D:50123"."""
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "") if kind in ("ipv4", "ipv6") else kind


def _id(value: str) -> str:
    """An id as it is written elsewhere; what is none as it is."""
    try:
        return value and str(UUID(value))
    except ValueError:
        return value


def check(request: Message) -> None:
    """Raises InvalidArgument with every field that breaks a rule of the contract."""
    broken = protovalidate.collect_violations(request)
    if not broken:
        return
    violations = [Violation(field_path(violation.proto), violation.proto.message) for violation in broken]
    first = violations[0]
    refusal = InvalidArgument(first.field, "", first.description)
    refusal.message = "; ".join(f"{v.field}: {v.description}" for v in violations[:5])
    refusal.violations = tuple(violations)
    raise refusal


def field_path(violation: Any) -> str:
    """The dotted path of the field that a violation is about, e.g. "stages[2].key"."""
    path = ""
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None and subscript.value is not None:
            path += f"[{str(subscript.value)[:LONGEST_KEY]}]"
    return path or "request"


def to_status(refusal: Refusal) -> status_pb2.Status:
    """The google.rpc.Status of a refusal: ErrorInfo, and the fields where some are named."""
    status = status_pb2.Status(code=code_pb2.Code.Value(refusal.code), message=refusal.message)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata)
    ]
    violations = list(_fitting(refusal))
    if violations and refusal.code == "INVALID_ARGUMENT":
        fields = [error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
                  for v in violations]  # fmt: skip
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    elif violations:
        conditions = [error_details_pb2.PreconditionFailure.Violation(type=refusal.reason, subject=v.field,
                      description=v.description) for v in violations]  # fmt: skip
        details.append(error_details_pb2.PreconditionFailure(violations=conditions))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _fitting(refusal: Refusal) -> Iterator[Violation]:
    """The violations that fit; of many the first ones."""
    left = LARGEST_DETAILS
    for violation in refusal.violations:
        left -= len(f"{refusal.reason}{violation.field}{violation.description}".encode()) + ENTRY
        if left < 0:
            return
        yield violation


def _log(method: str, code: str, started: float, request: Any, **more: str) -> None:
    _LOG.info(
        "call",
        method=method,
        code=code,
        ms=round((time.perf_counter() - started) * 1000, 2),
        caller=current_caller.get().actor,
        request_id=getattr(request, "request_id", "")[:LONGEST_REQUEST_ID],
        **more,
    )
