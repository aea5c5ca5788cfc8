"""An empty grpc.aio handler that runs one query by psycopg: `python -m tests.benchmarks.bare_server DSN SQL`.

Prints the port that it listens on. The request's bytes are the query's only parameter.
"""

import asyncio
import sys

import grpc
import uvloop
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo


async def serve(dsn: str, query: str) -> None:
    free: asyncio.Queue[AsyncConnection] = asyncio.Queue()
    for _ in range(10):
        free.put_nowait(await AsyncConnection.connect(make_conninfo(dsn), autocommit=True))

    async def read(request: bytes, _context: object) -> bytes:
        connection = await free.get()
        try:
            await (await connection.execute(query.encode(), [request.decode()])).fetchall()
        finally:
            free.put_nowait(connection)
        return b""

    handler = grpc.method_handlers_generic_handler("bare", {"Read": grpc.unary_unary_rpc_method_handler(read)})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 - the caller reads it
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
