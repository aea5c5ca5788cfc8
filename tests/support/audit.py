"""Writes as rpcs make them, and what the audit has of them."""

from typing import Any
from uuid import UUID, uuid4

from google.protobuf.message import Message
from sqlalchemy import Row, select

from kejing.identity.v1 import departments_service_pb2
from kejing.operations.v1 import audit_pb2, audit_records_service_pb2
from kejing.tasks.v1 import follow_ups_service_pb2
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.audit.tables import audit
from services.shared.db import Database
from services.shared.ids import new_id
from services.shared.rpc.caller import Call, Caller, current_call, current_caller

METHOD = "/kejing.test.v1.TestService/Write"
ann = str(new_id())


def under_way(request: Message | None, *, acting_for: str = "", on_behalf_of: str = "", subject: str = ann) -> Call:
    """An rpc, as the interceptor announces it."""
    caller = Caller(subject, "s1", 9e9, on_behalf_of=on_behalf_of, acting_for=acting_for, peer="10.0.0.7")
    current_caller.set(caller)
    current_call.set(call := Call(METHOD, request))
    return call


def a_request(name: str = "East") -> departments_service_pb2.CreateDepartmentRequest:
    return departments_service_pb2.CreateDepartmentRequest(request_id=str(uuid4()), name=name)


def about(customer: str, content: str) -> follow_ups_service_pb2.CreateFollowUpRequest:
    return follow_ups_service_pb2.CreateFollowUpRequest(request_id=str(uuid4()), customer_id=customer, content=content)


async def done(db: Database, request: Any, **caller: Any) -> UUID:
    """Writes as an rpc with `request` does; answers the id of what it made."""
    under_way(request, **caller)
    async with db.write(request) as write:
        return write.result_id


async def records(db: Database) -> list[Row[Any]]:
    async with db.read() as read:
        return list((await read.execute(select(audit).order_by(audit.c.position))).all())


async def shown(db: Database, **wanted: Any) -> list[audit_pb2.AuditRecord]:
    request = audit_records_service_pb2.ListAuditRecordsRequest(filter=audit_pb2.AuditFilter(**wanted), limit=100)
    return list((await AuditRecordsServicer(db, "test").ListAuditRecords(request, None)).records)
