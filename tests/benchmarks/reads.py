"""A unary read through the kit beside an empty grpc.aio handler that runs the same query by psycopg."""

import subprocess
import sys
from typing import Any
from uuid import uuid4

import grpc

from deploy.local import postgres, topology
from kejing.customers.v1 import imports_service_pb2
from kejing.identity.v1 import employees_service_pb2
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.tasks.v1 import tasks_service_pb2, tasks_service_pb2_grpc
from services.tasks.storage.tables import tasks
from tests.benchmarks.measure import Call, alternating_rates, print_table
from tests.benchmarks.world import World
from tests.support.eventually import eventually
from tests.support.persistence import PersistentClient, bring

BOUND = 0.45


async def run(world: World) -> None:
    task = await world.create_task()
    query = f"select {', '.join(column.name for column in tasks.c)} from tasks where id = %s::uuid"
    secrets = world.stack.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
    port = int(world.stack.address("postgres").rsplit(":", 1)[1])
    dsn = postgres.database_url("tasks", secrets.databases["tasks"], port).replace("postgresql+psycopg", "postgresql")
    command = [sys.executable, "-m", "tests.benchmarks.bare_server", dsn, query]
    callers = {"who sees all": world.client, "who sees his own": await an_owner(world, task.id)}
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.stdout.readline().strip()}") as channel:
            bare: Any = channel.unary_unary("/bare/Read")
            for name, client in callers.items():
                ours, theirs = await rates(world, client, task.id, lambda: bare(task.id.encode()))
                ratio = f"{ours / theirs:.2f} (at least {BOUND})"
                rows.append([f"GetTask by one {name}", f"{ours:,.0f}/s", f"{theirs:,.0f}/s", ratio])
        server.terminate()
    await callers["who sees his own"].close()
    print_table("A unary read, 20 callers", ["call", "kit", "empty handler + psycopg", "ratio"], rows)


async def rates(world: World, client: PersistentClient, task_id: str, bare: Call) -> tuple[float, float]:
    """Calls a second of GetTask and of the bare handler."""
    # Both sides by a plain channel: interceptors of grpc.aio's client cost more than the calls.
    async with grpc.aio.insecure_channel(world.stack.address("tasks")) as channel:
        stub: Any = tasks_service_pb2_grpc.TasksServiceStub(channel)
        request = tasks_service_pb2.GetTaskRequest(task_id=task_id)
        metadata = (("authorization", f"Bearer {await client.get()}"),)
        return await alternating_rates(lambda: stub.GetTask(request, metadata=metadata), bare)


async def an_owner(world: World, task_id: str) -> PersistentClient:
    """Somebody who sees what he owns, the task's customer among it."""
    login = f"owner-{str(uuid4())[-12:]}"
    employee = employees_service_pb2.CreateEmployeeRequest(
        request_id=login, login=login, display_name="Owner", role_key="CSM"
    )
    await world.client.ask(world.client.stub(EmployeesServiceStub).CreateEmployee, employee)

    async def owns() -> bool:  # refused until customers has heard of the new employee
        fields = ["customer_external_id", "role", "login"]
        run = await bring(world.client, imports_service_pb2.IMPORT_KIND_OWNERS, fields, [["C-1", "CSM", login]])
        return not run.rejected

    await eventually(owns)
    owner = PersistentClient(world.stack.address, world.stack.home.command_key, login)
    stub = owner.stub(tasks_service_pb2_grpc.TasksServiceStub)

    async def sees_it() -> bool:
        page = await owner.ask(stub.ListTasks, tasks_service_pb2.ListTasksRequest(customer_id=world.customer_id))
        return task_id in {task.id for task in page.tasks}

    await eventually(sees_it)
    return owner
