"""One stack a session: infrastructure and services start when a test first asks for them."""

import os
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.infrastructure import TestInfrastructure, infrastructure
from tests.support.services import RunningServices

__all__ = ["infrastructure"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(infrastructure: TestInfrastructure) -> AsyncIterator[RunningServices]:
    """The services, in this process. They are shared: a test makes customers of its own."""
    running = RunningServices(infrastructure)
    yield running
    await running.close()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends without the interpreter's shutdown, in which clients of Temporal abort now and then."""
    if "temporalio" in sys.modules and (status := getattr(config, "exit_status", None)) is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.exit_status = int(exitstatus)  # type: ignore[attr-defined]
