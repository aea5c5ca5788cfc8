"""The real Temporal server; the clock of each workflow can be moved, activities stand in under their real names."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.testing import TimeSkipper, WorkflowEnvironment

from deploy.local.temporal import binary
from kejing.identity.v1 import employees_service_pb2, employees_service_pb2_grpc
from kejing.processes.v1.processes_service_pb2_grpc import ProcessesServiceStub
from tests.support.infrastructure import TestInfrastructure
from tests.support.services import RunningServices
from tests.support.tasks import Team, make_team
from workflows.main import Processes, connect_temporal
from workflows.names import register_search_attributes
from workflows.settings import WorkflowsSettings

RETENTION = Duration(seconds=24 * 3600)
"""Longer than the tests take."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def live_temporal(infrastructure: TestInfrastructure) -> Client:
    """Where `processes` works. Its schedules stay, and so do workflows that it leaves when it stops."""
    client = await Client.connect(await infrastructure.temporal_address())
    await register_search_attributes(client)
    return client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def temporal(live_temporal: Client) -> Client:
    """A namespace of the file's own: its stand-ins take the queues that `processes` takes, and get no work of that."""
    namespace = f"test-{uuid4()}"
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=RETENTION)
    await live_temporal.workflow_service.register_namespace(request)
    client = await Client.connect(live_temporal.service_client.config.target_host, namespace=namespace)
    await register_search_attributes(client)
    return client


@pytest_asyncio.fixture
async def skipper(temporal: Client) -> TimeSkipper:
    """Moves the clock of workflows that were started through its client."""
    return TimeSkipper(temporal)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def short_histories() -> AsyncIterator[Client]:
    """A server that suggests a new run after few events."""
    threshold = ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40"]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary()), dev_server_extra_args=threshold
    ) as environment:
        await register_search_attributes(environment.client)
        yield environment.client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def processes(services: RunningServices) -> AsyncIterator[Processes]:
    """The process, in this one."""
    await services.start("tasks", "customers")
    settings = WorkflowsSettings(
        bind=services.address("processes"),
        nats_url=SecretStr(await services.infrastructure.nats_url("processes")),
        machine_key_file=services.infrastructure.machine_key_file("processes"),
        temporal_address=await services.infrastructure.temporal_address(),
        identity_address=services.address("identity"),
        tasks_address=services.address("tasks"),
        customers_address=services.address("customers"),
        health_address=services.address("health"),
        notifications_address=services.address("notifications"),
    )
    part = Processes(settings, await connect_temporal(settings))
    await part.start()
    yield part
    await part.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(services: RunningServices, processes: Processes) -> Team:
    return await make_team(services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def csm(team: Team, services: RunningServices) -> Any:
    """The CSM's stub of ProcessesService."""
    identity = await services.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    found = await identity.GetEmployee(employees_service_pb2.GetEmployeeRequest(employee_id=team.csm.id))
    return await services.stub(ProcessesServiceStub, f"employee:{found.employee.login}")
