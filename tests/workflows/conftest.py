"""The real Temporal server; the clock of each workflow can be moved, activities stand in under their real names."""

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import TimeSkipper, WorkflowEnvironment

from deploy.local.temporal import binary
from tests.support.infrastructure import TestInfrastructure
from workflows.names import register_search_attributes


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(infrastructure: TestInfrastructure) -> Client:
    client = await Client.connect(await infrastructure.temporal_address())
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
