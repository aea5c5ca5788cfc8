"""The life of a process: start its parts, say that it is ready, and end in order when told to."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from services.shared.db.engine import Database
from services.shared.logging import configure, get_logger
from services.shared.messaging.broker import connect
from services.shared.messaging.consumer import Consumer
from services.shared.messaging.relay import run_relay
from services.shared.rpc.server import Server


@dataclass
class Service:
    """A service that owns a database: its server, relay and consumers.

    `prepare` runs once the database answers and before the service says that it is ready; `close` runs last. Both in
    the given order.
    """

    name: str
    server: Server
    db: Database
    nats: Client
    nats_url: str
    consumers: Sequence[Consumer] = ()
    prepare: Sequence[Callable[[], Awaitable[object]]] = ()
    close: Sequence[Callable[[], Awaitable[object]]] = ()
    _background: list[asyncio.Task[None]] = field(default_factory=list)
    _connecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.server.start()
        await self._wait_for_database()
        for prepare in self.prepare:
            await prepare()
        self._connecting = asyncio.create_task(connect(self.nats, self.nats_url, self.name))
        loops: list[Coroutine[Any, Any, None]] = [run_relay(self.db, self.nats), *(c.run() for c in self.consumers)]
        self._background = [asyncio.create_task(loop) for loop in loops]
        await self.server.ready()

    async def failed(self) -> None:
        """Returns never, unless a part that should run for ever has ended: then raises what ended it."""
        done, _ = await asyncio.wait(self._background, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError(f"a part of {self.name} ended by itself")

    async def stop(self) -> None:
        await self.server.stop()
        tasks = [*self._background, *([self._connecting] if self._connecting else [])]
        while running := [task for task in tasks if not task.done()]:
            for task in running:
                task.cancel()
            # Again where it was lost: Python 3.11's wait_for swallows a cancellation that comes with its result.
            await asyncio.wait(running, timeout=0.5)
        for close in self.close:
            await close()
        await self.nats.close()
        await self.db.close()

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
