"""A customer's personal data in a service: handed out to customers, and erased when customers tells to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import ErasureRequested
from kejing.operations.v1 import personal_data_service_pb2 as pb
from kejing.operations.v1 import personal_data_service_pb2_grpc
from services.shared.audit.writing import Doing, erase
from services.shared.db.engine import Database
from services.shared.db.write import Write
from services.shared.messaging.consumer import Handler
from services.shared.rpc.caller import NOBODY, Call

ERASED = "—"
"""Stands where a text was that must not be empty."""
METHOD = "kejing.customers.v1.PrivacyService/ErasePersonalData"
WHY = "a customer's personal data are gathered, and erased, as a whole"

Record = tuple[str, Mapping[str, Any]]
"""What it is ("follow_up"), and its fields."""


@dataclass(frozen=True)
class PersonalData:
    """`collect` reads what the service holds of a customer; `erase` erases it, and answers the ids of what it was in:
    the audit may have encrypted something under their keys.
    """

    collect: Callable[[AsyncConnection, UUID], AsyncIterator[Record]]
    erase: Callable[[Write, UUID], Awaitable[Iterable[UUID]]]


class PersonalDataServicer(personal_data_service_pb2_grpc.PersonalDataServiceServicer):
    def __init__(self, db: Database, held: PersonalData) -> None:
        self._db = db
        self._held = held

    async def CollectPersonalData(  # noqa: N802 - as in the contract
        self, request: pb.CollectPersonalDataRequest, context: Any
    ) -> AsyncIterator[pb.CollectPersonalDataResponse]:
        async with self._db.snapshot(unscoped=WHY) as read:
            async for kind, fields in self._held.collect(read, UUID(request.customer_id)):
                yield pb.CollectPersonalDataResponse(kind=kind, document=document_of(fields))


def document_of(fields: Mapping[str, Any]) -> str:
    """A record as JSON; empty fields are left out, instants and dates are as ISO 8601 has them."""
    return json.dumps({name: value for name, value in fields.items() if value not in (None, "")},
                      ensure_ascii=False, default=_text)  # fmt: skip


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def eraser(service: str, held: PersonalData, confirmed: Callable[..., Message]) -> Mapping[type[Message], Handler]:
    """The handler by which `service` erases what it holds; a record in its audit proves it.

    confirmed: makes the event that tells so, of erasure_id and audit_record_id.
    """

    async def erasure_requested(write: Write, event: Event, payload: ErasureRequested) -> None:
        customer_id = UUID(payload.customer_id)
        objects = await held.erase(write, customer_id)
        await erase(write, str(customer_id), *map(str, objects))
        write.doing = Doing(
            Call(METHOD), NOBODY, event.actor, payload.erasure_id, payload.customer_id, means=f"machine:{service}"
        )
        write.emit(confirmed(erasure_id=payload.erasure_id, audit_record_id=str(write.doing.record_id)))

    return {ErasureRequested: erasure_requested}
