"""OwnersService: who of us looks after which customer."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Uuid, func, literal, select

from kejing.customers.v1 import customer_pb2, owners_service_pb2_grpc
from kejing.customers.v1 import owners_service_pb2 as pb
from services.customers.api.changes import follow
from services.customers.api.happened import happened
from services.customers.api.labelling import locked_customers
from services.customers.api.wire import to_owners
from services.customers.domain.owners import Ownership, read_ownership
from services.customers.storage import bulk, customers, owners
from services.shared.access.directory import Directory
from services.shared.access.ids import IdArray, Ids
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_date, to_date, to_timestamp


class OwnersServicer(owners_service_pb2_grpc.OwnersServiceServicer):
    def __init__(self, db: Database, directory: Directory) -> None:
        self._db = db
        self._directory = directory

    async def ListOwners(self, request: pb.ListOwnersRequest, context: Any) -> pb.ListOwnersResponse:
        async with self._db.read() as read:
            row = await customers.get(read, caller().scope, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.ListOwnersResponse(owners=to_owners(row.owners))

    async def ChangeOwners(self, request: pb.ChangeOwnersRequest, context: Any) -> pb.ChangeOwnersResponse:
        role = customer_pb2.OwnerRole.Name(request.owner.role).removeprefix("OWNER_ROLE_")
        owner = _ownership(request.owner)
        if owner:
            await self._directory.grant_of(owner.employee_id)  # asks identity, where nobody told of him yet
        async with self._db.write(request) as write:
            if not write.first:
                return pb.ChangeOwnersResponse(changed=await bulk.remembered(write))
            ids = await locked_customers(write, request.customer_ids)
            if owner:
                await _require_active(write, owner.employee_id)
            wanted = select(
                func.unnest(literal(Ids.of(ids), IdArray())).label("customer_id"),
                literal(role).label("role"),
                literal(owner.employee_id if owner else None, Uuid).label("employee_id"),
                literal(owner.first if owner else None, Date).label("valid_from"),
                literal(owner.last if owner else None, Date).label("valid_to"),
            )
            changed = await owners.give(write, wanted)
            await happened(write, changed)
            await follow(write, [entry.customer_id for entry in changed])
            await bulk.remember(write, len(changed))
        return pb.ChangeOwnersResponse(changed=len(changed))

    async def ListOwnerHistory(self, request: pb.ListOwnerHistoryRequest, context: Any) -> pb.ListOwnerHistoryResponse:
        customer_id, after, size = UUID(request.customer_id), page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            rows = await owners.history(read, caller().scope, customer_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListOwnerHistoryResponse(
            changes=map(_change, page),
            next_page_token=next_page_token(request, [page[-1].occurred_at, page[-1].id]) if more else "",
        )


def _ownership(owner: customer_pb2.Owner) -> Ownership | None:
    """None for nobody. Raises InvalidArgument, PERIOD_BACKWARD too."""
    first = from_date("owner.valid_from", owner.valid_from) if owner.HasField("valid_from") else date.min
    last = from_date("owner.valid_to", owner.valid_to) if owner.HasField("valid_to") else date.max
    if last < first:
        raise InvalidArgument("owner.valid_to", str(last), f"it must not lie before {first}", "PERIOD_BACKWARD")
    return Ownership(UUID(owner.employee_id), first, last) if owner.employee_id else None


async def _require_active(write: Write, employee_id: UUID) -> None:
    """Raises NotFound: EMPLOYEE_NOT_FOUND; FailedPrecondition: EMPLOYEE_INACTIVE."""
    active = await owners.is_active(write, employee_id)
    if active is None:
        raise NotFound("employee", employee_id)
    if not active:
        raise FailedPrecondition("EMPLOYEE_INACTIVE", f"the employee {employee_id} has left")


def _change(row: Any) -> pb.OwnerChange:
    [(before, after)] = row.changes.values()
    return pb.OwnerChange(
        role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{row.object_id}"),
        before=_owner(row.object_id, before),
        after=_owner(row.object_id, after),
        actor=row.actor,
        changed_at=to_timestamp(row.occurred_at),
    )


def _owner(role: str, text: str) -> customer_pb2.Owner | None:
    owner = read_ownership(text)
    if owner is None:
        return None
    return customer_pb2.Owner(
        role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{role}"),
        employee_id=str(owner.employee_id),
        valid_from=to_date(owner.first) if owner.first > date.min else None,
        valid_to=to_date(owner.last) if owner.last < date.max else None,
    )
