"""kejing.tasks.v1.Process as the workflow's ProcessRecord, and back."""

from datetime import UTC

from kejing.tasks.v1 import process_pb2
from services.shared.rpc.wire import to_timestamp
from workflows.business_process.types import ProcessRecord, StageRecord, State


def to_record(process: process_pb2.Process) -> ProcessRecord:
    return ProcessRecord(
        id=process.id,
        customer_id=process.customer_id,
        customer_label=process.customer_label,
        definition_id=process.definition_id,
        definition_key=process.definition_key,
        definition_version=process.definition_version,
        definition_name=process.definition_name,
        theme_key=process.theme_key,
        state=State(process_pb2.ProcessState.Name(process.state).removeprefix("PROCESS_STATE_")),
        stage_key=process.stage_key,
        stages=[
            StageRecord(
                key=stage.key,
                name=stage.name,
                progress=process_pb2.StageProgress.Name(stage.progress).removeprefix("STAGE_PROGRESS_"),
                limit_days=stage.limit_days,
                advances_by_itself=stage.advances_by_itself,
            )
            for stage in process.stages
        ],
        stage_entered_at=process.stage_entered_at.ToDatetime(UTC),
        stage_due_at=process.stage_due_at.ToDatetime(UTC) if process.HasField("stage_due_at") else None,
        owner_id=process.owner_id,
        revision=process.revision,
        started_at=process.started_at.ToDatetime(UTC),
        ended_at=process.ended_at.ToDatetime(UTC) if process.HasField("ended_at") else None,
        allows_skipping=process.allows_skipping,
        first_owner_id=process.first_owner_id,
    )


def to_process(record: ProcessRecord) -> process_pb2.Process:
    return process_pb2.Process(
        id=record.id,
        customer_id=record.customer_id,
        customer_label=record.customer_label,
        definition_id=record.definition_id,
        definition_key=record.definition_key,
        definition_version=record.definition_version,
        definition_name=record.definition_name,
        theme_key=record.theme_key,
        state=process_pb2.ProcessState.Value(f"PROCESS_STATE_{record.state}"),
        stage_key=record.stage_key,
        stages=[
            process_pb2.ProcessStage(
                key=stage.key,
                name=stage.name,
                progress=process_pb2.StageProgress.Value(f"STAGE_PROGRESS_{stage.progress}"),
                limit_days=stage.limit_days,
                advances_by_itself=stage.advances_by_itself,
            )
            for stage in record.stages
        ],
        stage_entered_at=to_timestamp(record.stage_entered_at),
        stage_due_at=to_timestamp(record.stage_due_at),
        owner_id=record.owner_id,
        revision=record.revision,
        started_at=to_timestamp(record.started_at),
        ended_at=to_timestamp(record.ended_at),
        allows_skipping=record.allows_skipping,
        first_owner_id=record.first_owner_id,
    )
