"""Definitions and processes on the wire."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from kejing.tasks.v1 import process_pb2
from services.tasks.api.wire_time import set_instant
from services.tasks.domain.definition import Stage, StageTask
from services.tasks.storage.processes import stages_of


def to_definition(row: Row[Any]) -> process_pb2.ProcessDefinition:
    definition = process_pb2.ProcessDefinition(
        id=str(row.id),
        key=row.key,
        name=row.name,
        theme_key=row.theme_key,
        version=row.version,
        state=process_pb2.DefinitionState.Value(f"DEFINITION_STATE_{row.state}"),
        allows_skipping=row.allows_skipping,
        stages=[
            process_pb2.Stage(**{**stage, "tasks": [process_pb2.StageTask(**task) for task in stage["tasks"]]})
            for stage in row.stages
        ],
    )
    set_instant(definition.created_at, row.created_at)
    set_instant(definition.published_at, row.published_at)
    return definition


def from_stages(stages: Iterable[process_pb2.Stage]) -> list[Stage]:
    return [
        Stage(
            key=stage.key,
            name=stage.name,
            limit_days=stage.limit_days,
            advances_by_itself=stage.advances_by_itself,
            tasks=tuple(
                StageTask(task.key, task.title, task.assignee_role, task.deadline_offset_days, task.required)
                for task in stage.tasks
            ),
        )
        for stage in stages
    ]


def to_process(row: Row[Any]) -> process_pb2.Process:
    """`row` with the definition and the customer's label beside it."""
    process = process_pb2.Process(
        id=str(row.id),
        customer_id=str(row.customer_id),
        customer_label=row.customer_label or "",
        definition_id=str(row.definition_id),
        definition_key=row.definition_key,
        definition_version=row.definition_version,
        definition_name=row.definition_name,
        theme_key=row.theme_key,
        state=process_pb2.ProcessState.Value(f"PROCESS_STATE_{row.state}"),
        stage_key=row.stage_key,
        stages=[
            process_pb2.ProcessStage(
                key=stage.key,
                name=stage.name,
                progress=process_pb2.StageProgress.Value(f"STAGE_PROGRESS_{progress}"),
                limit_days=stage.limit_days,
                advances_by_itself=stage.advances_by_itself,
            )
            for stage, progress in zip(stages_of(row), row.progress, strict=True)
        ],
        owner_id=str(row.owner_id),
        first_owner_id=str(row.first_owner_id),
        revision=row.revision,
        allows_skipping=row.allows_skipping,
    )
    set_instant(process.stage_entered_at, row.stage_entered_at)
    set_instant(process.stage_due_at, row.stage_due_at if row.state == "RUNNING" else None)
    set_instant(process.started_at, row.started_at)
    set_instant(process.ended_at, row.ended_at)
    return process


def to_transition(row: Row[Any]) -> process_pb2.ProcessTransition:
    transition = process_pb2.ProcessTransition(
        revision=row.revision,
        action=process_pb2.ProcessAction.Value(f"PROCESS_ACTION_{row.action}"),
        from_stage_key=row.from_stage_key,
        to_stage_key=row.to_stage_key,
        reason=row.reason,
        actor=row.actor,
    )
    set_instant(transition.occurred_at, row.occurred_at)
    return transition
