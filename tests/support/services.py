"""The services in this process, on real Postgres and NATS: each started once a session, when it is first asked for."""

import asyncio
import importlib
import typing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from pydantic import SecretStr

from kejing.identity.v1 import sessions_service_pb2, sessions_service_pb2_grpc
from services.shared.clock import utc_now
from services.shared.rpc.assertion import assertion
from services.shared.rpc.client import AsMachine, MachineToken, channel
from services.shared.runtime import Service
from tests.support.infrastructure import TestInfrastructure
from tests.support.ports import free_port

NAMES = ("identity", "customers", "tasks", "health", "revenue", "notifications", "processes")


class MovableClock:
    """The services' clock: runs with the real one, shifted by what a test set. Give it to no Temporal test."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.shift

    def set(self, instant: datetime) -> None:
        """From now on it is `instant` (UTC)."""
        self.shift = instant.astimezone(UTC) - utc_now()


@dataclass
class RunningServices:
    """Access to the services by gRPC, as people and machines have it."""

    infrastructure: TestInfrastructure
    clock: MovableClock = field(default_factory=MovableClock)
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the services beyond what all tests need."""
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in NAMES})
    _started: dict[str, Service] = field(default_factory=dict)
    _failed: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    _tokens: dict[str, "_Token"] = field(default_factory=dict)

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    async def start(self, *names: str) -> None:
        """Starts the services that don't run yet, identity first. Contracts of others are called at their addresses.

        Raises what ended a part of a service that should run for ever.
        """
        for failed in self._failed.values():
            if failed.done():
                failed.result()
        async with self._starting:
            for name in dict.fromkeys(["identity", *names]):
                if name not in self._started:
                    service = await self._build(name)
                    await service.start()
                    self._started[name] = service
                    self._failed[name] = asyncio.create_task(service.failed())
                    # Whoever called it before it was there has left a connection behind that waits, which all share.
                    await self._plain(name).channel_ready()

    async def _build(self, name: str) -> Service:
        main = importlib.import_module(f"services.{name}.main")
        settings_class: Any = typing.get_type_hints(main.build)["settings"]
        settings = settings_class(
            bind=self.address(name),
            database_url=SecretStr(await self.infrastructure.database_url(name)),
            nats_url=SecretStr(await self.infrastructure.nats_url(name)),
            machine_key_file=self.infrastructure.machine_key_file(name),
            command_key_file=self.infrastructure.command_key_file,
            machine_keys=self.infrastructure.home.machine_keys,
            encryption_keys_file=self.infrastructure.home.encryption_keys,
            **{f"{peer}_address": self.address(peer) for peer in NAMES},
            **self.settings,
        )
        service: Service = await main.build(settings, self.clock)
        return service

    async def stop(self, name: str) -> None:
        """Ends one service in order; `start` brings it back on the same database."""
        self._failed.pop(name).cancel()
        await self._started.pop(name).stop()

    def db(self, name: str) -> Any:
        """The Database of a running service, to look at its rows."""
        return self._started[name].db

    def directory(self, name: str) -> Any:
        """The Directory of a running service: what it remembers of who may what."""
        return self._started[name].directory

    async def sign_in(self, subject: str) -> str:
        """An access token of "employee:<login>" or "machine:<name>"."""
        await self.start("identity")
        kind, _, name = subject.partition(":")
        infrastructure = self.infrastructure
        key = infrastructure.machine_key_file(name) if kind == "machine" else infrastructure.command_key_file
        proof = assertion(key, subject)
        stub = sessions_service_pb2_grpc.SessionsServiceStub(self._plain("identity"))
        answer = await stub.SignIn(sessions_service_pb2.SignInRequest(assertion=proof))
        token: str = answer.access_token
        return token

    async def stub(self, stub_class: Any, caller: str = "employee:admin", *, part: str = "") -> Any:
        """A stub whose calls carry the token of `caller`; "" for calls without one. Starts the service.

        `part`: whom to call, where it is not the contract's area (kejing.<area>.v1).
        """
        name = part or stub_class.__module__.split(".")[1]
        await self.start(*([] if name in ("processes",) else [name]))
        if not caller:
            return stub_class(self._plain(name))
        key = f"{name}|{caller}"
        if key not in self._channels:
            token = self._person(caller) if caller.startswith("employee:") else self._machine(caller)
            self._channels[key] = channel(self.address(name), AsMachine(typing.cast(MachineToken, token)))
        return stub_class(self._channels[key])

    def sign_in_anew(self) -> None:
        """Lets everybody's next call begin with a new sign-in: where the keys of their tokens were withdrawn."""
        for token in self._tokens.values():
            token.sign_in_anew()

    def _person(self, caller: str) -> "_Token":
        return self._tokens.setdefault(caller, _Token(self, caller))

    def _machine(self, caller: str) -> MachineToken:
        name = caller.removeprefix("machine:")
        return MachineToken(self._plain("identity"), self.infrastructure.machine_key_file(name), name)

    def _plain(self, name: str) -> grpc.aio.Channel:
        if name not in self._channels:
            self._channels[name] = channel(self.address(name))
        return self._channels[name]

    async def close(self) -> None:
        for open_channel in self._channels.values():
            await open_channel.close()
        for name in reversed(list(self._started)):
            await self.stop(name)


class _Token:
    """The token of an employee, signed in once."""

    def __init__(self, services: RunningServices, subject: str) -> None:
        self._services = services
        self._subject = subject
        self._token = ""

    async def get(self) -> str:
        self._token = self._token or await self._services.sign_in(self._subject)
        return self._token

    def forget(self, _token: str) -> bool:
        return False  # what is refused to a person stays refused

    def sign_in_anew(self) -> None:
        self._token = ""
