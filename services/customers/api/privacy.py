"""PrivacyService: a customer's personal data, handed out and erased."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.message import Message
from sqlalchemy import Row, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import privacy_service_pb2 as pb
from kejing.customers.v1 import privacy_service_pb2_grpc
from kejing.customers.v1.events_pb2 import ErasureRequested
from kejing.operations.v1.personal_data_service_pb2 import CollectPersonalDataRequest
from kejing.operations.v1.personal_data_service_pb2_grpc import PersonalDataServiceStub
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.tasks.v1 import events_pb2 as tasks
from services.customers.api.changes import follow
from services.customers.storage import customers, edits, personal
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.tables import erasures
from services.shared.audit.writing import erase
from services.shared.db import Database, Write
from services.shared.errors import NotFound, Unavailable
from services.shared.keyring import Keyring
from services.shared.messaging.consumer import Handler
from services.shared.privacy import WHY, document_of
from services.shared.rpc.caller import caller
from services.shared.rpc.client import MachineToken

HERE = "customers"
OTHERS: Mapping[str, type[Message]] = {"tasks": tasks.PersonalDataErased, "revenue": revenue.PersonalDataErased}
"""Services that hold personal data of customers, with the events by which they confirm an erasure."""
SECONDS = 60.0
PIECE = 64 * 1024


class PrivacyServicer(privacy_service_pb2_grpc.PrivacyServiceServicer):
    """`keyring`: that of national ids; `holders`: channels to the services of OTHERS, `token` this service's own."""

    def __init__(
        self, db: Database, keyring: Keyring, holders: Mapping[str, grpc.aio.Channel], token: MachineToken
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._holders = {name: PersonalDataServiceStub(channel) for name, channel in holders.items()}
        self._token = token

    async def ExportPersonalData(
        self, request: pb.ExportPersonalDataRequest, context: Any
    ) -> AsyncIterator[pb.ExportPersonalDataResponse]:
        customer_id = UUID(request.customer_id)
        async with self._db.transaction(request_id=request.request_id) as write:  # recorded before anything goes out
            row = _known(await customers.get(write.connection, caller().scope, customer_id), request.customer_id)
        elsewhere = {name: await self._collected(name, request.customer_id) for name in self._holders}
        piece = bytearray()
        async for part in self._document(row, elsewhere):
            piece += part.encode()
            if len(piece) >= PIECE:
                yield pb.ExportPersonalDataResponse(data=bytes(piece))
                piece.clear()
        yield pb.ExportPersonalDataResponse(data=bytes(piece))

    async def _document(self, row: Row[Any], elsewhere: Mapping[str, Sequence[tuple[str, str]]]) -> AsyncIterator[str]:
        """A JSON document, in parts: by service a list of {"kind": …, "record": …}."""
        yield f'{{\n"{HERE}": ['
        separator = "\n"
        async with self._db.snapshot(unscoped=WHY) as read:
            async for kind, fields in personal.collect(read, self._keyring, row):
                yield f'{separator}{{"kind": "{kind}", "record": {document_of(fields)}}}'
                separator = ",\n"
        for name, records in elsewhere.items():
            lines = (f'\n{{"kind": "{kind}", "record": {document}}}' for kind, document in records)
            yield f'\n],\n"{name}": [{",".join(lines)}'
        yield "\n]\n}\n"

    async def _collected(self, name: str, customer_id: str) -> list[tuple[str, str]]:
        """What another service holds. Raises Unavailable (SERVICE_AWAY)."""
        try:
            metadata = await self._token.metadata()
            wanted = CollectPersonalDataRequest(customer_id=customer_id)
            call = self._holders[name].CollectPersonalData(wanted, metadata=metadata, timeout=SECONDS)
            return [(record.kind, record.document) async for record in call]
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                "SERVICE_AWAY", f"{name} does not answer, and without it the data would not be whole; try again",
                service=name,
            ) from error  # fmt: skip

    async def ErasePersonalData(
        self, request: pb.ErasePersonalDataRequest, context: Any
    ) -> pb.ErasePersonalDataResponse:
        customer_id = UUID(request.customer_id)
        async with self._db.write(request) as write:
            if write.first:
                await one_at_a_time(write)
                row = _known(await edits.lock(write, caller().scope, customer_id), request.customer_id)
                await personal.open_erasure(write, customer_id, request.ground)
                objects = await personal.erase(write, self._keyring, row)
                await erase(write, request.customer_id, *map(str, objects))
                await follow(write, [customer_id])
                if write.doing:
                    await personal.confirm(write, write.result_id, HERE, str(write.doing.record_id))
                write.emit(ErasureRequested(erasure_id=str(write.result_id), customer_id=request.customer_id))
            stored = await _erasure(write, write.result_id)
        return pb.ErasePersonalDataResponse(erasure=_to_erasure(stored))

    async def GetErasure(self, request: pb.GetErasureRequest, context: Any) -> pb.GetErasureResponse:
        async with self._db.read() as read:
            query = select(erasures).where(erasures.c.id == UUID(request.erasure_id))
            stored = (await read.execute(caller().scope.limit(query, erasures.c.customer_id))).one_or_none()
        if stored is None:
            raise NotFound("erasure", request.erasure_id)
        return pb.GetErasureResponse(erasure=_to_erasure(stored))


def confirming() -> Mapping[type[Message], Handler]:
    """The handlers of what other services tell when they have erased their part."""

    def handler(service: str) -> Handler:
        async def erased(write: Write, _event: Event, payload: Any) -> None:
            await personal.confirm(write, UUID(payload.erasure_id), service, payload.audit_record_id)

        return erased

    return {event: handler(service) for service, event in OTHERS.items()}


def _known(row: Row[Any] | None, customer_id: str) -> Row[Any]:
    if row is None:
        raise NotFound("customer", customer_id)
    return row


async def _erasure(write: Write, erasure_id: UUID) -> Row[Any]:
    query = select(erasures).where(erasures.c.id == erasure_id)
    found = (await write.execute(caller().scope.limit(query, erasures.c.customer_id))).one_or_none()
    if found is None:
        raise NotFound("customer", erasure_id)
    return found


def _to_erasure(row: Row[Any]) -> pb.Erasure:
    erasure = pb.Erasure(
        id=str(row.id),
        customer_id=str(row.customer_id),
        ground=row.ground,
        requested_by=row.requested_by,
        confirmed_by=row.confirmed_by,
        waiting_for=sorted({HERE, *OTHERS} - set(row.confirmed_by)),
    )
    erasure.requested_at.FromDatetime(row.requested_at)
    return erasure
