"""The unit of work: rows, events and the remembered request are committed together or not at all."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from sqlalchemy import CursorResult, Executable, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.audit.writing import Doing, add_record
from services.shared.db.tables import outbox, requests
from services.shared.errors import AlreadyExists
from services.shared.ids import new_id
from services.shared.messaging.envelope import subject_of, to_envelope
from services.shared.rpc.caller import Caller

UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True)
class Outgoing:
    """An event of the outbox; `position` is its row's key there."""

    position: int
    id: UUID
    subject: str
    event: bytes


class Write:
    """A transaction under way. `now` is its moment (UTC), `actor` whose doing it is, `zone` the business time
    zone."""

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        now: datetime,
        actor: str,
        request_id: str = "",
        first: bool = True,
        result_id: UUID | None = None,
        doing: Doing | None = None,
        zone: ZoneInfo = UTC_ZONE,
    ) -> None:
        self.connection = connection
        self.now = now
        self.actor = actor
        self.request_id = request_id
        self.first = first
        self.result_id = result_id or new_id()
        self.outgoing: list[Outgoing] = []
        self.zone = zone
        self.doing = doing
        """What the audit will say of this write; None where it says nothing (consumers, repeats)."""
        self._emitted: list[dict[str, Any]] = []

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return await self.connection.execute(statement, parameters)

    def emit(self, payload: Message) -> None:
        """Says that `payload` (a message with the option event_type) happened, once this transaction commits."""
        event = to_envelope(payload, occurred_at=self.now, actor=self.actor, request_id=self.request_id)
        self._emitted.append(
            {
                "id": UUID(event.id),
                "subject": subject_of(payload),
                "event": event.SerializeToString(),
                "created_at": self.now,
            }
        )

    async def flush(self) -> None:
        """Writes the audit's record and what was emitted, just before the commit."""
        if self.doing:
            await add_record(self.connection, self.doing, self.now, self.request_id)
        if self._emitted:
            rows = insert(outbox).returning(outbox.c.position, sort_by_parameter_order=True)
            positions = (await self.connection.execute(rows, self._emitted)).scalars()
            self.outgoing = [
                Outgoing(position, row["id"], row["subject"], row["event"])
                for position, row in zip(positions, self._emitted, strict=True)
            ]


async def claim_request(
    connection: AsyncConnection, request: Message, caller: Caller, method: str, result_id: UUID | None, now: datetime
) -> tuple[bool, UUID]:
    """Answers (True, id for the result) for a new request, (False, the first call's id) for a repeat.

    A repeat that comes while the first call is still under way waits for it here, by the unique key.
    """
    wanted = result_id or new_id()
    request_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    request_id: str = request.request_id  # type: ignore[attr-defined]
    row = {"caller": caller.actor, "method": method, "request_id": request_id, "request_hash": request_hash,
           "result_id": wanted, "created_at": now}  # fmt: skip
    if (await connection.execute(upsert(requests).values(row).on_conflict_do_nothing())).rowcount:
        return True, wanted
    key = (requests.c.caller == caller.actor) & (requests.c.method == method) & (requests.c.request_id == request_id)
    known = (await connection.execute(select(requests.c.request_hash, requests.c.result_id).where(key))).one()
    if known.request_hash != request_hash:
        raise AlreadyExists("REQUEST_ID_REUSED", f"request_id {request_id} came before with another body")
    return False, known.result_id
