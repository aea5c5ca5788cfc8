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


def access_token(login: str) -> str:
    """An access token of an employee; KEJING_TOKEN, when set, is taken as it is.

    Raises:
        CommandFailed: this home has no command key, so nobody can prove to own it.
        grpc.RpcError: identity refused, or is not there.
    """
    if told := os.environ.get("KEJING_TOKEN"):
        return told
    from kejing.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
    from services.shared.rpc.client import assertion

    key = Home.from_environment().command_key
    if not key.exists():
        raise CommandFailed(f"{key} is missing: start a stack by `kejing up`, or set KEJING_HOME or KEJING_TOKEN")
    with channel("identity") as to_identity:
        stub = identity_service_pb2_grpc.IdentityServiceStub(to_identity)
        proof = identity_service_pb2.SignInRequest(assertion=assertion(key, f"employee:{login}"))
        return stub.SignIn(proof, timeout=DEADLINE_SECONDS).access_token


def call_metadata(login: str) -> tuple[tuple[str, str], ...]:
    """Metadata that makes a call one of `login`; for channels that `connect` did not open."""
    return (("authorization", f"Bearer {access_token(login)}"),)


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

    def __init__(self, login: str) -> None:
        self._signed = _Signed(call_metadata(login))
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
    """Signs in as `login`: `with connect(login) as kejing: kejing.stub(TasksServiceStub).GetTask(…)`.

    Raises:
        CommandFailed: this home has no command key.
        grpc.RpcError: identity refused, or is not there.
    """
    connection = Connection(login)
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
