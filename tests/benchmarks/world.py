"""What a benchmark needs of a running stack: a customer, a theme, stubs, a Temporal client."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from google.type.date_pb2 import Date
from temporalio.client import Client

from deploy.local import postgres, topology
from kejing.tasks.v1 import task_pb2, tasks_service_pb2, tasks_service_pb2_grpc
from tests.support.persistence import PersistentClient, a_customer
from tests.support.stack import LocalStack


def keep_commit_times(stack: LocalStack) -> None:
    """Lets Postgres keep the time of each commit, from its next start on."""
    with superuser(stack, "postgres") as connection:
        connection.execute("alter system set track_commit_timestamp = on")


def superuser(stack: LocalStack, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    host, port = stack.address("postgres").rsplit(":", 1)
    password = stack.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS).superuser
    return psycopg.connect(
        host=host, port=port, user=postgres.SUPERUSER, password=password, dbname=database, autocommit=True
    )


@dataclass
class World:
    stack: LocalStack
    client: PersistentClient
    temporal: Client
    customer_id: str

    @classmethod
    async def of(cls, stack: LocalStack) -> "World":
        client = PersistentClient(stack.address, stack.home.command_key)
        temporal = await Client.connect(stack.address("temporal"))
        return cls(stack, client, temporal, await a_customer(client))

    async def create_task(self) -> Any:
        """A task due in ten days, as stored."""
        day = datetime.now(UTC) + timedelta(days=10)
        request = tasks_service_pb2.CreateTaskRequest(
            request_id=str(uuid4()),
            customer_id=self.customer_id,
            title="Measure",
            theme_key="delivery",
            deadline=task_pb2.Deadline(date=Date(year=day.year, month=day.month, day=day.day)),
        )
        stub = self.client.stub(tasks_service_pb2_grpc.TasksServiceStub)
        return (await self.client.ask(stub.CreateTask, request)).task

    def committed_at(self, task_ids: list[str]) -> dict[str, datetime]:
        """When the tasks' rows were committed, by Postgres' own record (UTC)."""
        with superuser(self.stack, "kejing_tasks") as connection:
            query = "select id::text, pg_xact_commit_timestamp(xmin) from tasks where id = any(%s::uuid[])"
            return dict(connection.execute(query, [task_ids]).fetchall())

    async def close(self) -> None:
        await self.client.close()
