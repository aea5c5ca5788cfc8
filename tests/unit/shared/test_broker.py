"""Connecting to NATS, when the connection breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.shared.messaging.broker import connect


@asynccontextmanager
async def rude(times: int) -> AsyncIterator[str]:
    """The address of a server that greets its first `times` clients and hangs up."""
    greeted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        writer.write(b'INFO {"server_id":"s","version":"2.10.0","proto":1,"max_payload":1048576}\r\n')
        if greeted > times:
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_connection_that_breaks_while_it_is_made_is_made_anew() -> None:
    """Also while the relay has something to send already, which makes the client itself give up."""
    client = Client()

    async def relay() -> None:
        while True:
            with contextlib.suppress(NatsError):
                await client.publish("kejing.test", b"x" * 100)
            await asyncio.sleep(0)

    relaying = asyncio.create_task(relay())
    async with rude(3) as address:
        await asyncio.wait_for(connect(client, address, "test"), 30)
        assert client.is_connected
        relaying.cancel()
        await client.close()
