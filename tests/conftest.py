"""One stack a session, or a worker: infrastructure and services start when a test first asks for them."""

import os
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import structlog

from tests.support.infrastructure import TestInfrastructure, infrastructure
from tests.support.services import RunningServices

__all__ = ["infrastructure"]

SLOW = {"e2e", "workflows"}

# The default one writes every local variable of every frame, which keeps the loop that all services share busy.
plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(infrastructure: TestInfrastructure) -> AsyncIterator[RunningServices]:
    """The services, in this process. They are shared: a test makes customers of its own."""
    running = RunningServices(infrastructure)
    yield running
    await running.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the files that take longest, so that at the end none of them is left alone with one."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: SLOW.isdisjoint(item.path.relative_to(config.rootpath).parts))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends without the interpreter's shutdown, in which clients of Temporal abort now and then."""
    if "temporalio" in sys.modules and (status := getattr(config, "exit_status", None)) is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.exit_status = int(exitstatus)  # type: ignore[attr-defined]
