"""The audit of tasks: who did what to which customer's task, by which means, with what people wrote encrypted."""

from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict
from sqlalchemy import select

from kejing.operations.v1 import audit_pb2, audit_records_service_pb2, audit_records_service_pb2_grpc
from kejing.tasks.v1 import process_pb2
from kejing.tasks.v1 import process_records_service_pb2 as records_pb
from kejing.tasks.v1 import tasks_service_pb2 as pb
from services.shared.audit.tables import audit
from services.shared.ids import new_id
from services.shared.rpc.client import on_behalf_of
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_in, make_team, rid, stage

REASON = "Mrs Wang is in hospital"


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


async def records(services: RunningServices, object_id: str, method: str) -> list[audit_pb2.AuditRecord]:
    """What the audit of the tasks service has of a thing, the latest first."""
    stub: Any = await services.stub(
        audit_records_service_pb2_grpc.AuditRecordsServiceStub, "machine:identity", part="tasks"
    )
    wanted = audit_pb2.AuditFilter(object_id=object_id, method_prefix=method)
    answer = await stub.ListAuditRecords(audit_records_service_pb2.ListAuditRecordsRequest(filter=wanted, limit=50))
    return list(answer.records)


async def test_a_postponement_says_who_moved_what_and_keeps_the_reason_encrypted(
    team: Team, services: RunningServices
) -> None:
    task = await team.task()
    request = pb.PostponeTaskRequest(request_id=rid(), task_id=task.id, deadline=deadline_in(days=9), reason=REASON)
    for _ in range(2):  # a repeat does nothing, and is nothing to the audit
        await team.csm.tasks.PostponeTask(request)
    [record] = await records(services, task.id, "kejing.tasks.v1.TasksService/PostponeTask")
    assert (record.actor, record.acting_for, record.peer) == (team.csm.id, "", "127.0.0.1")
    assert record.means.startswith("session ")
    assert (record.customer_id, record.request_id) == (task.customer_id, request.request_id)
    assert MessageToDict(record.change)["deadline"] == MessageToDict(request.deadline)
    assert dict(record.personal) == {"reason": REASON}
    async with services.db("tasks").read() as read:
        row = (await read.execute(select(audit).where(audit.c.id == UUID(record.id)))).one()
    assert row.person == task.customer_id  # whose key it is gone with
    assert "Wang" not in str(row.change)
    assert b"Wang" not in bytes(row.personal)


async def test_a_transition_names_the_person_who_ordered_it_and_the_workflow_as_means(
    team: Team, services: RunningServices
) -> None:
    definition = await team.definition(stage("one"), stage("two"))
    start = records_pb.RecordStartRequest(
        process_id=str(new_id()), customer_id=await team.customer(), definition_key=definition.key,
        owner_id=team.csm.id,
    )  # fmt: skip
    process = (await team.machine.records.RecordStart(start, metadata=on_behalf_of(team.csm.id))).process
    keep = records_pb.KeepReasonRequest(action_id=rid(), reason=REASON)
    await team.machine.records.KeepReason(keep, metadata=on_behalf_of(team.csm.id))
    request = records_pb.RecordTransitionRequest(
        process_id=process.id, expected_revision=1, action_id=keep.action_id, action=process_pb2.PROCESS_ACTION_PAUSE
    )
    for _ in range(2):
        await team.machine.records.RecordTransition(request, metadata=on_behalf_of(team.csm.id))
    moved, started = await records(services, process.id, "kejing.tasks.v1.ProcessRecordsService/")
    for record in (moved, started):
        assert (record.actor, record.means) == (team.csm.id, "machine:processes")
        assert record.customer_id == process.customer_id
        assert not dict(record.personal)
    assert moved.change["action"] == "PROCESS_ACTION_PAUSE"
    assert await records(services, keep.action_id, "") == []


async def test_the_chain_over_the_records_holds(team: Team, services: RunningServices) -> None:
    await team.task()
    stub: Any = await services.stub(
        audit_records_service_pb2_grpc.AuditRecordsServiceStub, "machine:identity", part="tasks"
    )
    answer = await stub.VerifyAuditChain(audit_records_service_pb2.VerifyAuditChainRequest())
    assert answer.chain.whole
