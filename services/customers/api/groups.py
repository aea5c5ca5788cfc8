"""GroupsService: lists of customers that people keep."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.customers.v1 import tags_service_pb2 as pb
from kejing.customers.v1 import tags_service_pb2_grpc
from services.customers.api.labelling import locked_customers, relabel
from services.customers.storage import bulk, groups, labelled, labels
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.ownership import refresh_lists
from services.customers.storage.timeline import ENTERED, LEFT
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound, ResourceExhausted
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import to_timestamp

AT_ONCE = 2_000
"""So many customers leave a group that ends in one transaction."""


class GroupsServicer(tags_service_pb2_grpc.GroupsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: Any) -> pb.CreateGroupResponse:
        async with self._db.write(request) as write:
            if write.first:
                await one_at_a_time(write)  # so that two don't become one too many
                if await groups.is_full(write):
                    raise ResourceExhausted(
                        "TOO_MANY_GROUPS", f"there are {groups.MOST_GROUPS} groups, which is the most"
                    )
                if not await groups.create(write, request.name, request.description):
                    raise _exists(request.name)
            row = await groups.get(write.connection, write.result_id)
        return pb.CreateGroupResponse(group=_group(_found(row, write.result_id)))

    async def UpdateGroup(self, request: pb.UpdateGroupRequest, context: Any) -> pb.UpdateGroupResponse:
        group_id = UUID(request.group_id)
        async with self._db.write(request, result_id=group_id) as write:
            row = _found(await groups.lock(write, group_id), group_id)
            if write.first:
                if row.version != request.version:
                    raise Conflict("VERSION_CHANGED", f"it has version {row.version} now", version=row.version)
                if not await groups.change(write, group_id, request.name, request.description):
                    raise _exists(request.name)
                row = _found(await groups.get(write.connection, group_id), group_id)
        return pb.UpdateGroupResponse(group=_group(row))

    async def DeleteGroup(self, request: pb.DeleteGroupRequest, context: Any) -> pb.DeleteGroupResponse:
        group_id = UUID(request.group_id)
        async with self._db.write(request, result_id=group_id) as write:
            if write.first:
                if asking := await groups.segment_that_asks(write.connection, group_id):
                    raise FailedPrecondition("GROUP_IN_USE", f"the segment {asking} asks for the group")
                if not await groups.remove(write, group_id):
                    raise NotFound("group", request.group_id)
        label = labels.group(group_id)
        while True:  # in many transactions: one over a million customers would hold up everything else
            async with self._db.transaction(actor=caller().actor) as write:
                await one_at_a_time(write)
                ids = await labelled.some_carriers(write, label, AT_ONCE)
                await labels.take(write, label, ids)
                await refresh_lists(write, ids)
            if not ids:
                return pb.DeleteGroupResponse()

    async def ListGroups(self, request: pb.ListGroupsRequest, context: Any) -> pb.ListGroupsResponse:
        after, size, scope = page_start(request), page_size(request.page_size), caller().scope
        async with self._db.read() as read:
            rows = await groups.page(read, after, size + 1)
            page, more = rows[:size], len(rows) > size
            counted = await labelled.counts(read, scope, [labels.group(row.id) for row in page])
        return pb.ListGroupsResponse(
            groups=[_group(row, counted[labels.group(row.id)]) for row in page],
            next_page_token=next_page_token(request, [page[-1].name]) if more else "",
        )

    async def GroupCustomers(self, request: pb.GroupCustomersRequest, context: Any) -> pb.GroupCustomersResponse:
        group_id = UUID(request.group_id)
        async with self._db.write(request) as write:
            if not write.first:
                return pb.GroupCustomersResponse(changed=await bulk.remembered(write))
            ids = await locked_customers(write, request.customer_ids)
            await _held(write, group_id)
            what = LEFT if request.remove else ENTERED
            label = labels.group(group_id)
            changed = await relabel(write, label, ids, "GROUP", what, str(group_id), remove=request.remove)
            await bulk.remember(write, len(changed))
        return pb.GroupCustomersResponse(changed=len(changed))


async def _held(write: Write, group_id: UUID) -> None:
    """Keeps a group until `write` ends. Raises NotFound: GROUP_NOT_FOUND."""
    _found(await groups.lock(write, group_id, shared=True), group_id)


def _found(row: Row[Any] | None, group_id: UUID) -> Row[Any]:
    """Raises NotFound: GROUP_NOT_FOUND."""
    if row is None:
        raise NotFound("group", group_id)
    return row


def _exists(name: str) -> AlreadyExists:
    return AlreadyExists("GROUP_EXISTS", f"there is a group {name!r}")


def _group(row: Row[Any], members: int = 0) -> pb.Group:
    return pb.Group(
        id=str(row.id), name=row.name, description=row.description, customers=members, created_by=row.created_by,
        created_at=to_timestamp(row.created_at), version=row.version,
    )  # fmt: skip
