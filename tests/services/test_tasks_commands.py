"""`kejing tasks`, `themes`, `follow-ups`, `definitions`, `processes` and `dead-letters` against running services."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from kejing.tasks.v1 import process_records_service_pb2
from services.cli.failure import CommandFailed
from services.cli.main import build
from services.shared.ids import new_id
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_in, make_team, stage

Kejing = Callable[..., Awaitable[Any]]

DEFINITION = """
key: {key}
name: 标准交付
theme_key: delivery
stages:
  - key: kickoff
    name: 启动
    limit_days: 5
    tasks:
      - {{key: meet, title: 见面, deadline_offset_days: 2, required: true}}
  - {{key: handover, name: 移交}}
"""


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


@pytest.fixture(scope="module")
async def kejing(services: RunningServices, team: Team) -> AsyncIterator[Kejing]:
    """Runs a command and answers what it printed as JSON; with `text=True` as text."""
    # The services of this process would log between the lines that the command prints.
    wrapper = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    environment = {
        "KEJING_TOKEN": await services.sign_in("employee:admin"),
        "KEJING_TASKS_ADDRESS": services.address("tasks"),
    }

    async def run(*words: str, text: bool = False) -> Any:
        command = [*words] if text else [*words, "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, build(), command, env=environment)
        if result.exception:
            raise result.exception
        return result.output if text else json.loads(result.output)

    yield run
    structlog.configure(wrapper_class=wrapper)


def day(ahead: int) -> str:
    date = deadline_in(days=ahead).date
    return f"{date.year}-{date.month:02}-{date.day:02}"


async def test_a_task_lives_its_life_at_the_terminal(team: Team, kejing: Kejing) -> None:
    customer = await team.customer()
    task = (await kejing("tasks", "create", "Call them", "--customer", customer, "--by", day(3)))["task"]
    task_id = task["id"]
    moved = await kejing("tasks", "postpone", task_id, "--by", f"{day(5)}T14:30", "--reason", "They are ill")
    assert moved["task"]["deadline"]["time"]["hours"] == 14
    assert (await kejing("tasks", "start", task_id))["task"]["state"] == "TASK_STATE_IN_PROGRESS"
    [line] = (await kejing("tasks", "ledger", task_id))["postponements"]
    assert line["reason"] == "They are ill"
    added = await kejing("follow-ups", "add", "We spoke", "--customer", customer, "--task", task_id)
    assert (await kejing("follow-ups", "list", "--task", task_id))["followUps"] == [added["followUp"]]
    assert (await kejing("tasks", "complete", task_id))["task"]["state"] == "TASK_STATE_DONE"
    assert (await kejing("tasks", "reopen", task_id))["task"]["state"] == "TASK_STATE_IN_PROGRESS"
    reassigned = await kejing("tasks", "reassign", task_id, "--to", team.csm.id)
    assert reassigned["task"]["assigneeId"] == team.csm.id
    assert (await kejing("tasks", "cancel", task_id, "--reason", "x"))["task"]["cancelReason"] == "x"
    assert (await kejing("tasks", "get", task_id))["task"]["state"] == "TASK_STATE_CANCELLED"
    listed = await kejing("tasks", "list", "--customer", customer, "--state", "cancelled", "--state", "done")
    assert [each["id"] for each in listed["tasks"]] == [task_id]
    assert "Call them" in await kejing("tasks", "list", "--customer", customer, text=True)


async def test_a_deadline_in_another_form_is_refused_with_the_right_one(team: Team, kejing: Kejing) -> None:
    for wrong in ("soon", "2026-13-01", "2026-12-01T10:00+08:00"):
        with pytest.raises(CommandFailed):
            await kejing("tasks", "create", "x", "--customer", str(new_id()), "--by", wrong)


async def test_a_definition_comes_from_a_file(kejing: Kejing, team: Team, tmp_path: Path) -> None:
    key = f"d-{str(new_id())[-12:]}"
    file = tmp_path / "delivery.yaml"
    file.write_text(DEFINITION.format(key=key), encoding="utf-8")
    made = (await kejing("definitions", "create", str(file)))["definition"]
    published = (await kejing("definitions", "publish", made["id"]))["definition"]
    assert published["state"] == "DEFINITION_STATE_PUBLISHED"
    assert (await kejing("definitions", "list", "--key", key))["definitions"] == [published]
    for wrong in ("stages: 7", "- a list", "stagez: []", "key: ["):
        file.write_text(wrong)
        with pytest.raises(CommandFailed):
            await kejing("definitions", "create", str(file))


async def test_processes_and_their_history_are_shown(kejing: Kejing, team: Team) -> None:
    definition = await team.definition(stage("one"), stage("two"))
    customer = await team.customer()
    request = process_records_service_pb2.RecordStartRequest(
        process_id=str(new_id()), customer_id=customer, definition_key=definition.key, owner_id=team.csm.id
    )
    await team.machine.records.RecordStart(request)
    [listed] = (await kejing("processes", "list", "--customer", customer, "--state", "running"))["processes"]
    assert (await kejing("processes", "get", request.process_id))["process"] == listed
    [line] = (await kejing("processes", "history", request.process_id))["transitions"]
    assert line["toStageKey"] == "one"
    assert "[one] → two" in await kejing("processes", "list", "--customer", customer, text=True)


async def test_themes_and_dead_letters_are_listed(kejing: Kejing) -> None:
    assert "实施交付" in await kejing("themes", "list", text=True)
    assert "deadLetters" in await kejing("dead-letters", "list", "--service", "tasks")
