"""The life of a process: start its parts, say that it is ready, and end in order when told to."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import uvloop
from google.protobuf.message import Message
from nats.aio.client import Client as Nats
from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import MetaData, text
from sqlalchemy.exc import SQLAlchemyError

from kejing.customers.v1.events_pb2 import CustomersChanged
from services.shared.access.directory import Directory, asked_of_identity, ended_sessions_of_identity
from services.shared.access.known_customers import KnownCustomers
from services.shared.access.projection import DIRECTORY_HANDLERS, OWNER_HANDLERS, both
from services.shared.audit.chain import run_sealing
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.clock import Clock
from services.shared.db.engine import Database
from services.shared.errors import Unavailable
from services.shared.logging import configure, get_logger
from services.shared.messaging.broker import connect
from services.shared.messaging.consumer import Consumer, Handler
from services.shared.messaging.dead_letters import DeadLettersServicer
from services.shared.messaging.relay import run_relay
from services.shared.rpc.client import AsMachine, MachineToken, channel, fetch_public_keys
from services.shared.rpc.server import Server
from services.shared.rpc.tokens import PublicKeys, TokenVerifier
from services.shared.settings import ServiceSettings

IDENTITY_SECONDS = 3.0
"""So often identity is asked for the keys that tokens are checked with, and for the sessions that were ended."""


class Service:
    """A service that owns a database: its server, relay, consumer, and its projection of who may do what.

    `tables` are the service's own; `handlers` those of the events that it consumes, under the service's name (see
    Consumer); `apart` those whose work must delay no other, by what their consumer's name says after the service's.
    `knows_employees` is False in identity alone, `knows_owners` in identity and customers: their truth is there, and
    what the kit keeps of it is written together with it. `prepare` holds what runs once the database
    answers and before the service says that it is ready, `loops` what then runs beside it for ever, `close` what runs
    last.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        clock: Clock,
        tables: MetaData,
        handlers: Mapping[type[Message], Handler] | None = None,
        *,
        apart: Mapping[str, Mapping[type[Message], Handler]] | None = None,
        knows_employees: bool = True,
        knows_owners: bool = True,
    ) -> None:
        self.name = name
        self.db = Database(settings.database_url.get_secret_value(), clock, tables, zone=settings.business_time_zone)
        self.prepare: list[Callable[[], Awaitable[object]]] = []
        self.loops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.close: list[Callable[[], Awaitable[object]]] = []
        self._settings = settings
        self._nats = Nats()
        taken = dict(handlers or {})
        for event, handler in {**(DIRECTORY_HANDLERS if knows_employees else {}),
                               **(OWNER_HANDLERS if knows_owners else {})}.items():  # fmt: skip
            taken[event] = both(handler, taken[event]) if event in taken else handler
        # identity's events have a consumer of their own: who may what changes at once, whatever else is waiting.
        of_people = {event: handler for event, handler in taken.items() if event in DIRECTORY_HANDLERS}
        others = {event: handler for event, handler in taken.items() if event not in DIRECTORY_HANDLERS}
        parts = {f"{name}-directory": of_people, name: others}
        parts |= {f"{name}-{who}": dict(its) for who, its in (apart or {}).items()}
        self._consumers = [Consumer(self.db, self._nats, who, its) for who, its in parts.items() if its]
        self._identity = self.channel(settings.identity_address)
        self.token = MachineToken(self._identity, settings.machine_key_file, name)
        """The service's own token, for calls that it makes as the machine that it is."""
        ask = asked_of_identity(self._identity, self.token.metadata) if knows_employees else None
        ended = (
            ended_sessions_of_identity(self.channel(settings.identity_address, AsMachine(self.token)))
            if knows_employees
            else None
        )
        self.directory = Directory(self.db, clock, settings.business_time_zone, ask, ended)
        self._customers = (
            KnownCustomers(
                self.db, self.channel(settings.customers_address, AsMachine(self.token)), taken[CustomersChanged]
            )
            if knows_owners
            else None
        )
        self._verifier: TokenVerifier | None = None
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def channel(self, address: str, *interceptors: Any) -> Any:
        """A channel to another service, closed with this one."""
        opened = channel(address, *interceptors)
        self.close.append(opened.close)
        return opened

    @property
    def customers(self) -> KnownCustomers:
        """Asks for customers that no event told of yet."""
        if self._customers is None:
            raise RuntimeError(f"{self.name} has no projection of customers")
        return self._customers

    def offer(self, *servicers: object, public_keys: PublicKeys | None = None) -> None:
        """Binds the server, with these servicers and those of the dead letters and of the audit.

        `public_keys`: identity's, if not asked of identity itself. Raises RuntimeError where settings.bind is taken.
        """
        self._verifier = TokenVerifier(public_keys or partial(fetch_public_keys, self._identity))
        offered = [*servicers, DeadLettersServicer(self.db, self._consumers), AuditRecordsServicer(self.db, self.name)]
        self._server = Server(self._settings.bind, self._verifier, self.directory, offered)

    @property
    def server(self) -> Server:
        if self._server is None:
            raise RuntimeError(f"{self.name} offers nothing")
        return self._server

    async def start(self) -> None:
        await self.server.start()
        await self._wait_for_database()
        for prepare in self.prepare:
            await prepare()
        loops: list[Coroutine[Any, Any, None]] = [
            self._connect(),
            run_relay(self.db, self._nats),
            *(consumer.run() for consumer in self._consumers),
            self.directory.run(),
            self._keep_up_with_identity(),
            run_sealing(self.db),
            *(loop() for loop in self.loops),
        ]
        if self._customers:
            loops.append(self._keep_owners(self._customers))
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        await self.server.ready()

    async def failed(self) -> None:
        """Returns never, unless a part that should run for ever has ended: then raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError(f"a part of {self.name} ended by itself")

    async def stop(self) -> None:
        await self.server.stop()
        await end(self._tasks)
        for close in self.close:
            await close()
        await self._nats.close()
        await self.db.close()

    async def _keep_up_with_identity(self) -> None:
        """What must bite within five seconds: a withdrawn key, an ended session. While identity is away what is known
        holds."""
        while self._verifier:
            await asyncio.sleep(IDENTITY_SECONDS)
            try:
                await self._verifier.refresh()
                await self.directory.hear_of_ended_sessions()
            except (Unavailable, SQLAlchemyError, PsycopgOperationalError, OSError):
                get_logger().info("identity is away; its keys and ended sessions wait")

    async def _keep_owners(self, customers: KnownCustomers) -> None:
        await customers.sync_first()
        await asyncio.Event().wait()

    async def _connect(self) -> None:
        await connect(self._nats, self._settings.nats_url.get_secret_value(), self.name)
        await asyncio.Event().wait()  # the client keeps the connection up by itself from here

    async def _wait_for_database(self) -> None:
        while True:
            try:
                async with self.db.read() as read:
                    await read.execute(text("select 1"))
                return
            except (SQLAlchemyError, OSError) as error:
                get_logger().warning("database is away", error=type(error).__name__)
                await asyncio.sleep(0.3)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks, and returns when they have ended."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        # Again where it was lost: Python 3.11's wait_for swallows a cancellation that comes with its result.
        await asyncio.wait(running, timeout=0.5)


def run_process(name: str, log_format: Any, start: Callable[[], Awaitable[Any]]) -> None:
    """Runs a process until SIGTERM or SIGINT. `start` answers something with start, failed and stop (as Service).

    Ends by os._exit: clients of Temporal abort in the interpreter's own shutdown now and then.
    """
    configure(name, log_format)
    code = 1
    try:
        uvloop.run(_live(name, start))
        code = 0
    except BaseException as error:
        get_logger().error("process failed", exc_info=error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def _live(name: str, start: Callable[[], Awaitable[Any]]) -> None:
    told_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_end.set)
    part = await _unless(told_to_end, start())
    if part is None:
        return
    if await _unless(told_to_end, part.start()) is None and told_to_end.is_set():
        return
    # What has been loaded stays: the collector need not look through it while calls wait.
    gc.collect()
    gc.freeze()
    get_logger().info("ready")
    try:
        await _unless(told_to_end, part.failed())
    finally:
        get_logger().info("stopping")
        await part.stop()


async def _unless(told_to_end: asyncio.Event, work: Awaitable[Any]) -> Any:
    """The result of `work`, or None where the process was told to end first."""
    working, told = asyncio.ensure_future(work), asyncio.create_task(told_to_end.wait())
    await asyncio.wait([working, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None
