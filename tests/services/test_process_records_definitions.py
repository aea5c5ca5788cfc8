"""Definitions of processes by gRPC: drafts, their checks, publishing."""

from typing import Any

import pytest

from kejing.tasks.v1 import process_definitions_service_pb2 as definitions_pb
from kejing.tasks.v1 import process_pb2
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, make_team, rid, stage, stage_task


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


def draft(**changes: Any) -> definitions_pb.CreateProcessDefinitionRequest:
    values: dict[str, Any] = {
        "request_id": rid(), "key": f"d-{rid()[-12:]}", "name": "Draft", "theme_key": "delivery",
        "stages": [stage("one")],
    }  # fmt: skip
    return definitions_pb.CreateProcessDefinitionRequest(**{**values, **changes})


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ([], "stages"),
        ([stage("Bad key")], "stages[0].key"),
        ([stage("one", [stage_task("a", title="nu\0l")])], "request"),
        ([stage("one"), stage("one")], "stages[1].key"),
        ([stage("one", [stage_task("a"), stage_task("a")])], "stages[0].tasks[1].key"),
    ],
)
async def test_a_draft_with_a_wrong_stage_is_refused_by_name(team: Team, stages: list[Any], field: str) -> None:
    refusal = await refused(team.manager.definitions.CreateProcessDefinition(draft(stages=stages)))
    assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", (field,))


async def test_what_would_hold_processes_up_is_not_published(team: Team) -> None:
    stages = [
        stage("alone", [stage_task("a", required=False)], advances_by_itself=True),
        stage("short", [stage_task("late", deadline_offset_days=9)], limit_days=8),
    ]
    made = (await team.manager.definitions.CreateProcessDefinition(draft(stages=stages))).definition
    publish = definitions_pb.PublishProcessDefinitionRequest(request_id=rid(), definition_id=made.id)
    refusal = await refused(team.manager.definitions.PublishProcessDefinition(publish))
    assert (refusal.reason, refusal.fields) == ("DEFINITION_UNSOUND", ("alone", "short/late"))
    update = definitions_pb.UpdateProcessDefinitionRequest(
        request_id=rid(), definition_id=made.id, name="Sound", theme_key="value", stages=[stage("one")]
    )
    assert (await team.manager.definitions.UpdateProcessDefinition(update)).definition.name == "Sound"
    published = (await team.manager.definitions.PublishProcessDefinition(publish)).definition
    assert published.state == process_pb2.DEFINITION_STATE_PUBLISHED
    update.request_id = rid()
    assert (await refused(team.manager.definitions.UpdateProcessDefinition(update))).reason == "NOT_A_DRAFT"


async def test_a_key_has_one_draft_at_a_time(team: Team) -> None:
    request = draft()
    made = (await team.manager.definitions.CreateProcessDefinition(request)).definition
    assert (await team.manager.definitions.CreateProcessDefinition(request)).definition == made
    refusal = await refused(team.manager.definitions.CreateProcessDefinition(draft(key=made.key)))
    assert refusal.reason == "DRAFT_EXISTS"
