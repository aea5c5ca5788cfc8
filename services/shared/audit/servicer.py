"""AuditRecordsService: the audit of this service, for identity's AuditService."""

# ruff: noqa: N802  - rpc methods carry the names of the contract

from datetime import UTC
from typing import Any
from uuid import UUID

from google.protobuf.json_format import ParseDict
from sqlalchemy import Row, Select, select, tuple_

from kejing.operations.v1 import audit_pb2, audit_records_service_pb2_grpc
from kejing.operations.v1 import audit_records_service_pb2 as messages
from services.shared.audit import chain
from services.shared.audit.record import decrypted
from services.shared.audit.tables import audit, person_keys
from services.shared.db.engine import Database
from services.shared.rpc.wire import from_timestamp


class AuditRecordsServicer(audit_records_service_pb2_grpc.AuditRecordsServiceServicer):
    """`service` is the name of the service that keeps these records."""

    def __init__(self, db: Database, service: str) -> None:
        self._db = db
        self._service = service

    async def ListAuditRecords(
        self, request: messages.ListAuditRecordsRequest, context: Any
    ) -> messages.ListAuditRecordsResponse:
        query = _matching(request.filter).order_by(audit.c.occurred_at.desc(), audit.c.id.desc()).limit(request.limit)
        if request.HasField("before"):
            last = (from_timestamp("before", request.before), UUID(request.before_id))
            query = query.where(tuple_(audit.c.occurred_at, audit.c.id) < tuple_(*last))
        async with self._db.read() as read:
            rows = (await read.execute(query)).all()
        return messages.ListAuditRecordsResponse(records=[self._to_record(row) for row in rows])

    async def VerifyAuditChain(
        self, request: messages.VerifyAuditChainRequest, context: Any
    ) -> messages.VerifyAuditChainResponse:
        found = await chain.verify(self._db)
        return messages.VerifyAuditChainResponse(
            chain=audit_pb2.AuditChain(
                service=self._service,
                whole=found.broken_block == 0,
                blocks=found.blocks,
                records=found.records,
                broken_block=found.broken_block,
                head=found.head.hex(),
            )
        )

    def _to_record(self, row: Row[Any]) -> audit_pb2.AuditRecord:
        record = audit_pb2.AuditRecord(
            id=str(row.id),
            service=self._service,
            actor=row.actor,
            acting_for=row.acting_for,
            means=row.means,
            peer=row.peer,
            method=row.method,
            object_id=row.object_id,
            customer_id=row.customer_id,
            request_id=row.request_id,
            block=row.block or 0,
        )
        record.occurred_at.FromDatetime(row.occurred_at.astimezone(UTC))
        ParseDict(row.change, record.change)
        if row.personal is not None:
            personal = decrypted(bytes(row.personal), bytes(row.key), row.id.bytes) if row.key else None
            record.erased = personal is None
            if personal is not None:
                ParseDict(personal, record.personal)
        return record


def _matching(wanted: audit_pb2.AuditFilter) -> Select[Any]:
    query: Select[Any] = select(audit, person_keys.c.key).outerjoin(person_keys, person_keys.c.person == audit.c.person)
    for name in ("actor", "object_id", "customer_id", "request_id"):
        if value := getattr(wanted, name):
            query = query.where(audit.c[name] == value)
    if wanted.method_prefix:
        query = query.where(audit.c.method.startswith(wanted.method_prefix, autoescape=True))
    if wanted.HasField("from"):
        query = query.where(audit.c.occurred_at >= from_timestamp("from", getattr(wanted, "from")))
    if wanted.HasField("until"):
        query = query.where(audit.c.occurred_at < from_timestamp("until", wanted.until))
    return query
