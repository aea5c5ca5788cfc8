"""The life of a process: start its parts, say that it is ready, and end in order when told to."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import uvloop
from google.protobuf.message import Message
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from services.shared.clock import Clock
from services.shared.db.engine import Database
from services.shared.logging import configure, get_logger
from services.shared.messaging.broker import connect
from services.shared.messaging.consumer import Consumer, Handler
from services.shared.messaging.dead_letters import DeadLettersServicer
from services.shared.messaging.relay import run_relay
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.server import Server
from services.shared.rpc.tokens import PublicKeys, TokenVerifier
from services.shared.settings import ServiceSettings


class Service:
    """A service that owns a database: its server, relay and consumer.

    `handlers` are those of the events that it consumes, under the service's name (see Consumer). `prepare` holds what
    runs once the database answers and before the service says that it is ready, `close` what runs last.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        clock: Clock,
        handlers: Mapping[type[Message], Handler] | None = None,
    ) -> None:
        self.name = name
        self.db = Database(settings.database_url.get_secret_value(), clock)
        self.prepare: list[Callable[[], Awaitable[object]]] = []
        self.close: list[Callable[[], Awaitable[object]]] = []
        self._settings = settings
        self._nats = Client()
        self._consumers = [Consumer(self.db, self._nats, name, handlers)] if handlers else []
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def offer(self, *servicers: object, public_keys: PublicKeys | None = None) -> None:
        """Binds the server, with these servicers and that of the dead letters. `public_keys`: identity's, if not asked
        of identity itself. Raises RuntimeError where settings.bind is taken.
        """
        if public_keys is None:
            identity = channel(self._settings.identity_address)
            self.close.append(identity.close)
            public_keys = partial(fetch_public_keys, identity)
        offered = [*servicers, DeadLettersServicer(self.db, self._consumers)]
        self._server = Server(self._settings.bind, TokenVerifier(public_keys), offered)

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
        ]
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
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            # Again where it was lost: Python 3.11's wait_for swallows a cancellation that comes with its result.
            await asyncio.wait(running, timeout=0.5)
        for close in self.close:
            await close()
        await self._nats.close()
        await self.db.close()

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
