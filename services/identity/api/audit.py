"""AuditService: who did what, gathered from the audits of all services at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import grpc

from kejing.identity.v1 import audit_service_pb2 as pb
from kejing.identity.v1 import audit_service_pb2_grpc
from kejing.operations.v1 import audit_records_service_pb2 as records
from kejing.operations.v1 import audit_records_service_pb2_grpc
from kejing.operations.v1.audit_pb2 import AuditRecord
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import InvalidArgument
from services.shared.logging import get_logger
from services.shared.rpc.wire import from_timestamp

LIST_SECONDS = 3.0
VERIFY_SECONDS = 3600.0
"""So long chains are waited for at most: a million records take about a minute."""
ANSWER_SECONDS = 1.0
"""Kept from the caller's deadline, so that he still hears which chains are missing."""

T = TypeVar("T")


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """`own`: identity's own records; `others`: a channel to each other service that keeps an audit, by its name, which
    signs calls as the machine "identity".
    """

    def __init__(self, own: AuditRecordsServicer, others: Mapping[str, grpc.aio.Channel]) -> None:
        stubs = {name: audit_records_service_pb2_grpc.AuditRecordsServiceStub(channel)
                 for name, channel in others.items()}  # fmt: skip
        self._own = own
        self._others = stubs
        self._names = sorted(["identity", *others])

    async def ListAudit(self, request: pb.ListAuditRequest, context: Any) -> pb.ListAuditResponse:
        wanted, size, after = request.filter, page_size(request.page_size), page_start(request)
        if wanted.service and wanted.service not in self._names:
            raise InvalidArgument("filter.service", wanted.service, f"it must be one of {', '.join(self._names)}")
        for name in ("from", "until"):
            if wanted.HasField(name):
                from_timestamp(f"filter.{name}", getattr(wanted, name))
        asked = records.ListAuditRecordsRequest(filter=wanted, limit=size + 1)
        if after:
            asked.before.FromDatetime(after[0])
            asked.before_id = str(after[1])

        answers, missing = await self._gather(
            [wanted.service] if wanted.service else self._names,
            lambda: self._own.ListAuditRecords(asked, context),
            lambda stub: stub.ListAuditRecords(asked, timeout=LIST_SECONDS),
        )
        merged = sorted((record for answer in answers for record in answer.records), key=_age, reverse=True)
        page, more = merged[:size], len(merged) > size
        return pb.ListAuditResponse(
            records=page,
            next_page_token=next_page_token(request, _age(page[-1])) if more else "",
            missing=missing,
        )

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Any) -> pb.VerifyAuditResponse:
        asked = records.VerifyAuditChainRequest()
        left = context.time_remaining()
        seconds = VERIFY_SECONDS if left is None else max(0.1, left - ANSWER_SECONDS)
        answers, missing = await self._gather(
            self._names,
            lambda: self._own.VerifyAuditChain(asked, context),
            lambda stub: stub.VerifyAuditChain(asked, timeout=seconds),
        )
        return pb.VerifyAuditResponse(chains=[answer.chain for answer in answers], missing=missing)

    async def _gather(
        self, names: list[str], own: Callable[[], Awaitable[T]], other: Callable[[Any], Awaitable[T]]
    ) -> tuple[list[T], list[str]]:
        """What the named services answer, in the order of their names, and which of them don't."""

        async def ask(name: str) -> T | None:
            if name == "identity":
                return await own()
            try:
                return await other(self._others[name])
            except grpc.aio.AioRpcError as error:
                get_logger().warning("audit of a service is missing", service=name, status=error.code().name)
                return None

        answers = await asyncio.gather(*map(ask, names))
        missing = [name for name, answer in zip(names, answers, strict=True) if answer is None]
        return [answer for answer in answers if answer is not None], missing


def _age(record: AuditRecord) -> tuple[datetime, UUID]:
    """What the records are ordered by."""
    return from_timestamp("occurred_at", record.occurred_at), UUID(record.id)
