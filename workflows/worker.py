"""The workers: one a task queue, made of the packages of workflows."""

import inspect
import pkgutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import ModuleType
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows import alert_fanout, business_process, customer_import, customers_day, health_evaluation, task_lifecycle
from workflows.clients import Clients
from workflows.names import TaskQueue

PACKAGES: dict[TaskQueue, Sequence[ModuleType]] = {
    TaskQueue.INTERACTIVE: (task_lifecycle, business_process),
    TaskQueue.BATCH: (health_evaluation, alert_fanout, customers_day),
    TaskQueue.IMPORTS: (customer_import,),
}
"""Each exports WORKFLOWS and ACTIVITIES: classes that are made with Clients; their decorated methods are activities."""

LIBRARIES = ("google", "grpc", "grpc_status", "jwt", "cryptography", "kejing", "buf", "protovalidate", "structlog",
             "pydantic_settings", "services", "sqlalchemy", "nats", "psycopg")  # fmt: skip
ACTIVITY_MARK = "__temporal_activity_definition"
SHARED = ("names", "policies", "times", "attributes", "clients", "settings")
STICKY = timedelta(seconds=3)
"""So long a workflow waits for the worker that has it in its memory, when that worker was killed."""
AT_ONCE = {TaskQueue.INTERACTIVE: 40, TaskQueue.BATCH: 8, TaskQueue.IMPORTS: 2}
"""Activities that run at the same time. Of a hundred imports two get on at a time, each for a step, by turns: their
reading must leave the customers service to people."""
GRACE = timedelta(seconds=6)
"""So long running activities may take to end when the process stops."""


def workers(client: Client, clients: Clients) -> list[Worker]:
    """A worker for each task queue.

    Few workflow tasks run at once: after a restart many replay, and on few cores they would starve each other into the
    SDK's deadlock detector (2 s).
    """
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=[workflow for package in packages for workflow in package.WORKFLOWS],
            activities=activities(packages, clients),
            workflow_runner=sandbox(),
            max_concurrent_workflow_tasks=12,
            max_concurrent_activities=AT_ONCE[queue],
            graceful_shutdown_timeout=GRACE,
            sticky_queue_schedule_to_start_timeout=STICKY,
        )
        for queue, packages in PACKAGES.items()
    ]


def activities(packages: Sequence[ModuleType], clients: Clients) -> list[Callable[..., Any]]:
    """The activities of the packages."""
    classes = [offered for package in packages for offered in package.ACTIVITIES]
    members = [member for offered in classes for _, member in inspect.getmembers(offered(clients))]
    return [member for member in members if hasattr(member, ACTIVITY_MARK)]


def sandbox() -> SandboxedWorkflowRunner:
    """Workflow modules are loaded anew for each workflow and watched; all that they import is shared.

    A workflow module itself must not be passed through: its clock and its randomness would no longer be watched.
    Everything else must be: types, because the sandbox's own copies of a dataclass can't be decoded; libraries, because
    loading them for each workflow costs a hundred times the workflow itself.
    """
    shared = [f"workflows.{name}" for name in SHARED]
    for package in (package for packages in PACKAGES.values() for package in packages):
        names = [module.name for module in pkgutil.iter_modules(package.__path__)]
        shared += [f"{package.__name__}.{name}" for name in names if name not in ("workflow", "starting")]
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*LIBRARIES, *shared)
    )
