"""A unary read through the kit beside an empty grpc.aio handler that runs the same query by psycopg."""

import subprocess
import sys
from typing import Any

import grpc

from deploy.local import postgres, topology
from kejing.tasks.v1 import tasks_service_pb2, tasks_service_pb2_grpc
from services.tasks.storage.tables import tasks
from tests.benchmarks.measure import alternating_rates, print_table
from tests.benchmarks.world import World

BOUND = 0.45


async def run(world: World) -> None:
    task = await world.create_task()
    query = f"select {', '.join(column.name for column in tasks.c)} from tasks where id = %s::uuid"
    secrets = world.stack.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
    port = int(world.stack.address("postgres").rsplit(":", 1)[1])
    dsn = postgres.database_url("tasks", secrets.databases["tasks"], port).replace("postgresql+psycopg", "postgresql")
    command = [sys.executable, "-m", "tests.benchmarks.bare_server", dsn, query]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.stdout.readline().strip()}") as channel:
            bare: Any = channel.unary_unary("/bare/Read")
            # Both sides by a plain channel: interceptors of grpc.aio's client cost more than the calls.
            async with grpc.aio.insecure_channel(world.stack.address("tasks")) as ours_channel:
                stub: Any = tasks_service_pb2_grpc.TasksServiceStub(ours_channel)
                request = tasks_service_pb2.GetTaskRequest(task_id=task.id)
                metadata = (("authorization", f"Bearer {await world.client.get()}"),)
                ours, theirs = await alternating_rates(
                    lambda: stub.GetTask(request, metadata=metadata), lambda: bare(task.id.encode())
                )
        server.terminate()
    row = ["GetTask", f"{ours:,.0f}/s", f"{theirs:,.0f}/s", f"{ours / theirs:.2f} (at least {BOUND})"]
    print_table("A unary read, 20 callers", ["call", "kit", "empty handler + psycopg", "ratio"], [row])
