"""Calls of the commands to the services: where a service is, who calls, and a deadline for each call."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import grpc

from deploy.local import topology
from deploy.local.home import Home
from deploy.local.state import State
from services.cli.failure import CommandFailed
from services.cli.options import acting_for
from services.cli.tokens import access_token

ACTING_FOR = "x-kejing-acting-for"
DEADLINE_SECONDS = 30.0
AGAIN_SECONDS = 60.0
"""So long a write that was answered UNAVAILABLE is sent again."""
OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]

Stub = TypeVar("Stub")
Answer = TypeVar("Answer")


def address(part: str) -> str:
    """host:port of a part: as KEJING_<PART>_ADDRESS says, else where this home's stack runs it, else the default.

    Raises:
        CommandFailed: there is no such part.
    """
    if told := os.environ.get(f"KEJING_{part.upper()}_ADDRESS"):
        return told
    state = State.read(Home.from_environment().state)
    running = {p.name: next(iter(p.addresses.values()), "") for p in state.parts} if state else {}
    known = {**topology.addresses(), **running}
    if part not in known:
        raise CommandFailed(f"there is no part {part!r}; there are {', '.join(sorted(known))}")
    return known[part]


def channel(part: str) -> grpc.Channel:
    """A channel to a part without a token: for health, reflection and signing in."""
    return grpc.insecure_channel(address(part), options=OPTIONS)


def call_metadata(login: str, absent: str = "") -> tuple[tuple[str, str], ...]:
    """Metadata that makes a call one of `login`; for channels that `connect` did not open.

    Args:
        login: as access_token takes it.
        absent: the login of the colleague that he acts for; "" for himself.

    Raises:
        CommandFailed: there is no such colleague, or access_token's reasons.
        grpc.RpcError: identity refused, or is not there.
    """
    signed = (("authorization", f"Bearer {access_token(login)}"),)
    return (*signed, (ACTING_FOR, _employee_id(absent, signed))) if absent else signed


def _employee_id(login: str, metadata: tuple[tuple[str, str], ...]) -> str:
    from kejing.identity.v1.employees_service_pb2 import ListEmployeesRequest
    from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub

    with channel("identity") as to_identity:
        asked = ListEmployeesRequest(login=login)
        answer = EmployeesServiceStub(to_identity).ListEmployees(asked, metadata=metadata, timeout=DEADLINE_SECONDS)
    if not answer.employees:
        raise CommandFailed(f"there is no employee {login!r}")
    found: str = answer.employees[0].id
    return found


def new_request_id() -> str:
    """A request_id for a write that a person orders once at the terminal."""
    return f"cli-{uuid.uuid4()}"


def persist(attempt: Callable[[], Answer]) -> Answer:
    """What `attempt` answers. While that is UNAVAILABLE, nobody knows whether it took effect, and it is made again.

    Args:
        attempt: a write, with the same request_id each time: a person who typed it again would give a second one.
    """
    give_up, told = time.monotonic() + AGAIN_SECONDS, False
    while True:
        try:
            return attempt()
        except grpc.RpcError as error:
            failed: Any = error
            if failed.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > give_up:
                raise
            if not told:
                print(f"kejing: UNAVAILABLE: {failed.details()}; sending it again", file=sys.stderr)
                told = True
        time.sleep(0.5)


class Connection:
    """Stubs whose calls carry the token of one employee and a deadline of 30 s where none is given. A call that is
    answered once and has a request_id persists by itself."""

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """`metadata`: says who calls, as call_metadata makes it."""
        self._signed = _Signed(metadata)
        self._channels: dict[str, grpc.Channel] = {}

    def stub(self, stub: Callable[[grpc.Channel], Stub], part: str = "") -> Stub:
        """A stub, e.g. of tasks_service_pb2_grpc.TasksServiceStub.

        Args:
            stub: the generated class.
            part: whom to call; by default the area of the contract (kejing.<area>.v1).
        """
        part = part or stub.__module__.split(".")[1]
        if part not in self._channels:
            self._channels[part] = channel(part)
        return stub(grpc.intercept_channel(self._channels[part], self._signed))

    def close(self) -> None:
        for opened in self._channels.values():
            opened.close()


@contextmanager
def connect(login: str) -> Iterator[Connection]:
    """Calls as the employee of the command, who may act for a colleague:
    `with connect(login) as kejing: kejing.stub(TasksServiceStub).GetTask(…)`.

    Args:
        login: as access_token takes it.

    Raises:
        CommandFailed, grpc.RpcError: as call_metadata does.
    """
    connection = Connection(call_metadata(login, acting_for.get()))
    try:
        yield connection
    finally:
        connection.close()


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class _Signed(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def _call(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata]
        timeout = DEADLINE_SECONDS if details.timeout is None else details.timeout
        signed = _Details(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready, details.compression
        )
        return continuation(signed, request)

    def _persisting(self, continuation: Any, details: Any, request: Any) -> Any:
        if not getattr(request, "request_id", ""):
            return self._call(continuation, details, request)

        def attempt() -> Any:
            call = self._call(continuation, details, request)
            call.result()
            return call

        return persist(attempt)

    intercept_unary_unary: Any = _persisting
    intercept_unary_stream: Any = _call
    intercept_stream_unary: Any = _call
    intercept_stream_stream: Any = _call
