"""Other services as a test needs them: real gRPC servers with a few lines behind them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.shared.rpc.client import channel


@asynccontextmanager
async def a_peer(add: Callable[[Any, Any], None], servicer: object, port: int = 0) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server with `servicer`, which `add` (the generated function) adds to it."""
    server = grpc.aio.server()
    add(servicer, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    opened = channel(f"127.0.0.1:{bound}")
    try:
        yield opened
    finally:
        await opened.close()
        await server.stop(0)


async def no_metadata() -> grpc.aio.Metadata:
    """What a caller says who he is, where nobody asks."""
    return grpc.aio.Metadata()
