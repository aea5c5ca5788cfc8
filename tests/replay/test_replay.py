"""Every recorded history replays with the workflows as they are now: so a release breaks no running workflow."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workflows.worker import PACKAGES, sandbox

HISTORIES = Path(__file__).parent / "histories"
WORKFLOWS = {
    workflow.__name__: workflow
    for packages in PACKAGES.values()
    for package in packages
    for workflow in package.WORKFLOWS
}


def recorded() -> list[Path]:
    return sorted(HISTORIES.glob("*/*.json"))


@pytest.mark.parametrize("file", recorded(), ids=lambda file: f"{file.parent.name}/{file.stem}")
async def test_it_replays(file: Path) -> None:
    replayer = Replayer(workflows=[WORKFLOWS[file.parent.name]], workflow_runner=sandbox())
    await replayer.replay_workflow(WorkflowHistory.from_json(file.stem, file.read_text()))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_has_a_recorded_history(name: str) -> None:
    assert list((HISTORIES / name).glob("*.json")), f"record one: python -m tests.replay.record, scenarios of {name}"
