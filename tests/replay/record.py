"""`python -m tests.replay.record [NAME …]`: plays the scenarios on a real server and keeps their histories.

Histories stand for workflows that run while a release comes: record a new path, but never an old one anew because it no
longer replays. That says that running workflows would break; use workflow.patched.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from deploy.local.temporal import binary
from tests.replay.scenarios import Scenario, scenarios
from workflows.names import TaskQueue, register_search_attributes
from workflows.worker import PACKAGES, sandbox

HISTORIES = Path(__file__).parent / "histories"


async def record(environment: WorkflowEnvironment, scenario: Scenario) -> None:
    async with Worker(
        environment.client,
        task_queue=TaskQueue.BATCH,
        workflows=[
            workflow for packages in PACKAGES.values() for package in packages for workflow in package.WORKFLOWS
        ],
        activities=scenario.activities,
        workflow_runner=sandbox(),
    ):
        print(scenario.name)  # noqa: T201
        handle = await scenario.play(environment.client, TaskQueue.BATCH, scenario.stand_in)
        history = await handle.fetch_history()
        if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            await handle.terminate()
    file = HISTORIES / scenario.workflow.__name__ / f"{scenario.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(without_origin(history.to_json_dict()), ensure_ascii=False, indent=1) + "\n")


def without_origin(value: Any) -> Any:
    """The history without what tells only where it was recorded: stack traces and the names of machines."""
    if isinstance(value, list):
        return [without_origin(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_origin(item) for key, item in value.items() if key not in ("stackTrace", "identity")}


async def main(names: list[str]) -> None:
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(binary())) as environment:
        await register_search_attributes(environment.client)
        for scenario in scenarios():
            if not names or scenario.name in names:
                await record(environment, scenario)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
    os._exit(0)  # a client of Temporal may abort in the interpreter's own shutdown
